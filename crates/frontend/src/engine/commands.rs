//! What other threads ask of the engine.

use std::sync::Arc;

use scheduler::{ModelVersion, Query};
use transport::Frame;
use wire::admin::AddModel;

use super::{Engine, TURN};
use crate::{
    cache::Cache,
    catalog::{Catalog, Write, id},
    clients::{Origin, Pending},
    command::{Command, Request},
    metrics::Snapshot,
    replicas::Lost,
};

impl Engine {
    pub(super) fn take_commands(&mut self) {
        for _ in 0..TURN {
            let Ok(command) = self.commands.try_recv() else {
                return;
            };
            self.on_command(command);
        }
        // There may be more.
        self.wake.wake();
    }

    fn on_command(&mut self, command: Command) {
        // The requester may have disconnected; ignore send errors.
        match command {
            Command::Query { ticket, request } => self.on_http_request(ticket, request),
            Command::Forget(ticket) => {
                let query = self.clients.on_gone(ticket);
                query.into_iter().for_each(|query| self.take_back(query));
            }
            Command::Exchange { catalog, steps } => self.exchange(catalog, steps),
            Command::Admit(newcomer, replica_id) => self.on_admitted(newcomer, replica_id),
            Command::Sync(done) => drop(done.send(())),
            Command::Metrics(answer) => drop(answer.send(self.snapshot())),
            Command::Replicas(answer) => drop(answer.send(self.replicas.list())),
        }
    }

    /// Takes the new catalog, and does what the steps that led to it mean for queues, replicas and metrics.
    fn exchange(&mut self, catalog: Arc<Catalog>, steps: Vec<Write>) {
        self.catalog = catalog;
        for step in steps {
            match step {
                Write::SetApp(app) => self.metrics.add_app(&app.name, self.clock.elapsed()),
                Write::RemoveApp(app) => self.metrics.remove_app(&app),
                Write::SetModel(model) => self.set_model(&model),
                Write::RemoveModel(model) => self.remove_model(&model),
                // Only where queries go, which the catalog says.
                Write::SetCurrent(_) | Write::Link { .. } | Write::Unlink { .. } => {}
            }
        }
    }

    fn set_model(&mut self, model: &AddModel) {
        let (version, input_type) = (id(model), model.input_type);
        let reason = format!("{version} takes {input_type}");
        let max = usize::try_from(model.batch_size).ok();
        for key in self.scheduler.set_model(version, input_type, max) {
            self.replicas
                .refuse(&mut self.sockets.containers, key, &reason);
            self.lose(Lost::died(key, "takes another input type than its model"));
        }
    }

    fn remove_model(&mut self, model: &ModelVersion) {
        self.metrics.remove_model(model);
        self.declarations.remove(model);
        self.cache.iter_mut().for_each(Cache::clear);
        for key in self.scheduler.remove_model(model) {
            self.lose(Lost::died(key, "serves a model version that was deleted"));
        }
    }

    fn snapshot(&self) -> Box<Snapshot> {
        let loads = self.scheduler.loads();
        Box::new(Snapshot {
            metrics: self.metrics.clone(),
            dropped: self.clients.dropped(),
            now: self.clock.elapsed(),
            loads: loads.map(|(model, load)| (model.clone(), load)).collect(),
        })
    }

    fn on_http_request(&mut self, ticket: u64, request: Request) {
        let arrived = self.clock.elapsed();
        let query = Query {
            deadline: arrived.saturating_add(request.app.objective),
            app: request.app,
            model: request.model,
            input_type: request.input_type,
            size: request.input.len(),
            fingerprint: None,
            arrived,
            payload: Pending {
                origin: Origin::Http(ticket),
                input: Frame::from(request.input),
            },
        };
        if let Some(query) = self.on_query(query) {
            self.clients.on_asked(ticket, query);
        }
    }
}
