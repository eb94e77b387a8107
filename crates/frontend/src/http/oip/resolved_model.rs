//! Resolves the model name in a path to an application and a version of its model.

use std::sync::Arc;

use axum::http::StatusCode;
use scheduler::{App, ModelVersion, Refusal};
use serde::Deserialize;
use wire::admin::ReplicaInfo;

use super::{
    super::shared::HandlerContext,
    error::{OipError, stopping},
    shape::TensorSpec,
};
use crate::{catalog::ResolvedApp, command::Command, declarations::Declared};

/// The model name and version in a path.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ModelPath {
    pub(super) model: String,
    pub(super) version: Option<String>,
}

/// The application and model version that a path resolves to.
pub(super) struct ResolvedModel {
    pub(super) application: Arc<ResolvedApp>,
    /// The requested version, or else the current one; `None` if that was deleted.
    pub(super) version: Option<Arc<ModelVersion>>,
}

/// The application and model version of a request's queries.
pub(super) struct Destination {
    pub(super) app: Arc<App>,
    /// `None` if the application's model does not exist.
    pub(super) model: Option<Arc<ModelVersion>>,
}

impl ResolvedModel {
    /// Resolves the name in a path: an application, or else the first one linked to a model of that
    /// name.
    pub(super) fn find(
        shared: &HandlerContext,
        path: &ModelPath,
    ) -> Result<ResolvedModel, OipError> {
        let catalog = shared.state.catalog();
        let name = &path.model;
        let found = catalog.app(name).or_else(|| catalog.app_of(name));
        let not_found = |text| OipError(StatusCode::NOT_FOUND, text);
        let application = found.ok_or_else(|| {
            not_found(format!("there is no application or linked model '{name}'"))
        })?;
        let Some(model) = &application.model else {
            let text = format!("no model is linked to the application '{name}'");
            return Err(not_found(text));
        };
        let version = match &path.version {
            Some(version) => {
                let known = model.version(version).cloned();
                Some(known.ok_or_else(|| {
                    let name = &model.name;
                    not_found(format!("model '{name}' has no version '{version}'"))
                })?)
            }
            None => model.current.clone(),
        };
        Ok(ResolvedModel {
            application: application.clone(),
            version,
        })
    }

    /// Returns the current destination of queries. The application may have been changed or deleted
    /// while the request's body arrived.
    pub(super) fn destination(
        &self,
        shared: &HandlerContext,
        version: Option<&str>,
    ) -> Result<Destination, OipError> {
        let not_found = |refusal: Refusal| OipError(StatusCode::NOT_FOUND, refusal.to_string());
        let catalog = shared.state.catalog();
        let application = catalog.app(&self.application.app.name);
        let application = application.ok_or_else(|| not_found(Refusal::UnknownApp))?;
        let model = application.destination(version).map_err(not_found)?;
        Ok(Destination {
            app: application.app.clone(),
            model: model.cloned(),
        })
    }

    /// Returns the names of the model's versions.
    pub(super) fn versions(&self) -> Vec<&str> {
        let model = self.application.model.iter();
        let versions = model.flat_map(|model| &model.versions);
        versions.map(|known| known.version.as_str()).collect()
    }

    /// Returns a replica of the model version, if one is connected.
    pub(super) async fn replica(
        &self,
        shared: &HandlerContext,
    ) -> Result<Option<ReplicaInfo>, OipError> {
        let replicas = shared.engine.request(Command::Replicas).await;
        let mut replicas = replicas.ok_or_else(stopping)?.into_iter();
        let Some(version) = &self.version else {
            return Ok(None);
        };
        Ok(replicas.find(|replica| {
            replica.model_name == version.name && replica.model_version == version.version
        }))
    }

    /// Returns the declaration of its replicas; `None` before the first has registered.
    pub(super) fn declared(&self, shared: &HandlerContext) -> Option<Declared> {
        shared.declarations.get(self.version.as_deref()?)
    }

    /// Returns the spec of the input tensor.
    pub(super) fn input(&self, declared: Option<&Declared>) -> TensorSpec {
        TensorSpec::input(self.application.app.input_type, declared)
    }
}
