//! What the name of a model in a path stands for: an application, and a version of its model.

use std::sync::Arc;

use axum::http::StatusCode;
use scheduler::{App, ModelVersion, Refusal};
use serde::Deserialize;
use wire::admin::Replica;

use super::{
    super::shared::Shared,
    failure::{Failure, stopping},
    shape::TensorSpec,
};
use crate::{catalog::Application, command::Command, declarations::Declared};

/// Which model a path names.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub(super) model: String,
    pub(super) version: Option<String>,
}

/// What a name stands for.
pub(super) struct Deployed {
    pub(super) application: Arc<Application>,
    /// The model version that is asked for, or the current one; `None` if that was deleted.
    pub(super) version: Option<Arc<ModelVersion>>,
}

/// Where the queries of a request go.
pub(super) struct Destination {
    pub(super) app: Arc<App>,
    /// `None` if the application has no model that exists.
    pub(super) model: Option<Arc<ModelVersion>>,
}

impl Deployed {
    pub(super) fn find(shared: &Shared, named: &Named) -> Result<Deployed, Failure> {
        let catalog = shared.state.catalog();
        let name = &named.model;
        let found = catalog.app(name).or_else(|| catalog.app_of(name));
        let not_found = |text| Failure(StatusCode::NOT_FOUND, text);
        let application = found.ok_or_else(|| {
            not_found(format!(
                "there is no application, and no linked model, '{name}'"
            ))
        })?;
        let Some(model) = &application.model else {
            let text = format!("no model is linked to the application '{name}'");
            return Err(not_found(text));
        };
        let version = match &named.version {
            Some(version) => {
                let known = model.version(version).cloned();
                Some(known.ok_or_else(|| {
                    let name = &model.name;
                    not_found(format!("model '{name}' has no version '{version}'"))
                })?)
            }
            None => model.current.clone(),
        };
        Ok(Deployed {
            application: application.clone(),
            version,
        })
    }

    /// Where queries go now: the application may have been changed or deleted while the request's body came.
    pub(super) fn destination(
        &self,
        shared: &Shared,
        version: Option<&str>,
    ) -> Result<Destination, Failure> {
        let not_found = |refusal: Refusal| Failure(StatusCode::NOT_FOUND, refusal.to_string());
        let catalog = shared.state.catalog();
        let application = catalog.app(&self.application.app.name);
        let application = application.ok_or_else(|| not_found(Refusal::UnknownApp))?;
        let model = application.destination(version).map_err(not_found)?;
        Ok(Destination {
            app: application.app.clone(),
            model: model.cloned(),
        })
    }

    /// The names of the model's versions.
    pub(super) fn versions(&self) -> Vec<&str> {
        let model = self.application.model.iter();
        let versions = model.flat_map(|model| &model.versions);
        versions.map(|known| known.version.as_str()).collect()
    }

    /// One of those that serve it.
    pub(super) async fn replica(&self, shared: &Shared) -> Result<Option<Replica>, Failure> {
        let replicas = shared.engine.ask(Command::Replicas).await;
        let mut replicas = replicas.ok_or_else(stopping)?.into_iter();
        let Some(version) = &self.version else {
            return Ok(None);
        };
        Ok(replicas.find(|replica| {
            replica.model_name == version.name && replica.model_version == version.version
        }))
    }

    /// What its replicas declare; `None` before the first has joined.
    pub(super) fn declared(&self, shared: &Shared) -> Option<Declared> {
        shared.declarations.get(self.version.as_deref()?)
    }

    /// The tensor that it takes.
    pub(super) fn input(&self, declared: Option<&Declared>) -> TensorSpec {
        TensorSpec::input(self.application.app.input_type, declared)
    }
}
