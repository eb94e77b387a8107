//! Carries out the commands of other threads.

use std::sync::Arc;

use scheduler::{ModelVersion, Query};
use transport::Frame;
use wire::admin::AddModel;

use super::{Engine, MESSAGES_PER_TURN};
use crate::{
    cache::PredictionCache,
    catalog::{Catalog, CatalogChange, id},
    clients::{Origin, QueryPayload},
    command::{Command, HttpQuery},
    metrics::Snapshot,
    replicas::LostReplica,
};

impl Engine {
    pub(super) fn receive_commands(&mut self) {
        for _ in 0..MESSAGES_PER_TURN {
            let Ok(command) = self.commands.try_recv() else {
                return;
            };
            self.on_command(command);
        }
        // The queue may hold more commands: continue in the next turn.
        self.waker.wake();
    }

    fn on_command(&mut self, command: Command) {
        // The requester may have disconnected; ignore send errors.
        match command {
            Command::Query { ticket, request } => self.on_http_request(ticket, request),
            Command::Cancel(ticket) => {
                let query = self.clients.untrack_http_query(ticket);
                query.into_iter().for_each(|query| self.cancel(query));
            }
            Command::SetCatalog { catalog, changes } => self.set_catalog(catalog, changes),
            Command::Admit(request, replica_id) => self.on_replica_id(request, replica_id),
            Command::ConnectionClosed { port, fd } => {
                let now = self.clock.elapsed();
                self.replicas.on_connection_closed(port, fd, now);
            }
            Command::Sync(done) => drop(done.send(())),
            Command::Metrics(answer) => drop(answer.send(self.snapshot())),
            Command::Replicas(answer) => drop(answer.send(self.replicas.list(&self.scheduler))),
        }
    }

    /// Replaces the catalog, and applies its changes to queues, replicas and metrics.
    fn set_catalog(&mut self, catalog: Arc<Catalog>, changes: Vec<CatalogChange>) {
        self.catalog = catalog;
        for change in changes {
            match change {
                CatalogChange::SetApp(app) => self.metrics.add_app(&app.name, self.clock.elapsed()),
                CatalogChange::RemoveApp(app) => self.metrics.remove_app(&app),
                CatalogChange::SetModel(model) => self.set_model(&model),
                CatalogChange::RemoveModel(model) => self.remove_model(&model),
                // These change only the routing of queries, which the catalog does.
                CatalogChange::SetCurrent(_)
                | CatalogChange::Link { .. }
                | CatalogChange::Unlink { .. } => {}
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
            self.remove_replica(LostReplica::died(
                key,
                "has another input type than its model",
            ));
        }
    }

    fn remove_model(&mut self, model: &ModelVersion) {
        self.metrics.remove_model(model);
        self.declarations.remove(model);
        self.cache.iter_mut().for_each(PredictionCache::clear);
        for key in self.scheduler.remove_model(model) {
            self.remove_replica(LostReplica::died(key, "serves a deleted model version"));
        }
    }

    fn snapshot(&self) -> Box<Snapshot> {
        let loads = self.scheduler.loads();
        Box::new(Snapshot {
            metrics: self.metrics.clone(),
            dropped: self.clients.dropped_messages(),
            now: self.clock.elapsed(),
            loads: loads.map(|(model, load)| (model.clone(), load)).collect(),
        })
    }

    fn on_http_request(&mut self, ticket: u64, request: HttpQuery) {
        let objective = request.app.objective;
        let arrived = request.arrived.saturating_duration_since(self.clock);
        let query = Query {
            deadline: arrived.saturating_add(objective - self.way_back.within(objective)),
            app: request.app,
            model: request.model,
            input_type: request.input_type,
            size: request.input.len(),
            fingerprint: None,
            arrived,
            payload: QueryPayload {
                origin: Origin::Http(ticket),
                input: Frame::from(request.input),
            },
        };
        if let Some(query) = self.on_query(query) {
            self.clients.track_http_query(ticket, query);
        }
    }
}
