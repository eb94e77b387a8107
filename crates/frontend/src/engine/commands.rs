//! What other threads ask of the engine.

use scheduler::Arriving;
use transport::Frame;

use super::{Engine, TURN};
use crate::{
    cache::Cache,
    clients::{Origin, Pending},
    command::{Asked, Command},
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
        // Whoever asked may have gone: then there is nobody to answer.
        match command {
            Command::Query(asked) => self.on_asked(asked),
            Command::Forget(ticket) => {
                let query = self.clients.on_gone(ticket);
                query.into_iter().for_each(|query| self.take_back(query));
            }
            Command::RemoveApp(app) => {
                self.scheduler.remove_app(&app);
                self.metrics.remove_app(&app);
            }
            Command::Unlink(app) => self.scheduler.unlink(&app),
            Command::RemoveModel(model) => {
                self.metrics.remove_model(&model);
                self.cache.iter_mut().for_each(Cache::clear);
                for key in self.scheduler.remove_model(&model) {
                    self.lose(Lost::died(key, "serves a model version that was deleted"));
                }
            }
            Command::SetApp(app) => {
                self.metrics.add_app(&app.name, self.clock.elapsed());
                self.scheduler.set_app(app);
            }
            Command::Link { app, model } => self.scheduler.link(&app, &model),
            Command::SetModel(model, input_type, max) => {
                let reason = format!("{model} takes {input_type}");
                for key in self.scheduler.set_model(model, input_type, max) {
                    self.replicas.refuse(&mut self.sockets.doors, key, &reason);
                    self.lose(Lost::died(key, "takes another input type than its model"));
                }
            }
            Command::SetCurrentVersion(model) => self.scheduler.set_current_version(model),
            Command::Admit(newcomer, replica_id) => self.on_admitted(newcomer, replica_id),
            Command::Sync(done) => drop(done.send(())),
            Command::Metrics(answer) => drop(answer.send(self.snapshot())),
            Command::Replicas(answer) => drop(answer.send(self.replicas.list())),
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

    fn on_asked(&mut self, asked: Asked) {
        let arriving = Arriving {
            app: &asked.app,
            version: asked.version.as_deref(),
            input_type: asked.input_type,
            within: asked.within,
            size: asked.input.len(),
            fingerprint: None,
            payload: Pending {
                origin: Origin::Http(asked.ticket),
                input: Frame::from(asked.input),
            },
        };
        if let Some(query) = self.on_query(arriving) {
            self.clients.on_asked(asked.ticket, query);
        }
    }
}
