//! A frontend and the replicas of one model, from their start to their end.

use std::{
    net::SocketAddr,
    path::Path,
    slice, thread,
    time::{Duration, Instant},
};

use host::cores;
use loadgen::Target;
use model::ModelInfo;
use results::{ReplicaResult, Slot};
use wire::admin::{AddApp, AddModel, Replica};

use crate::{
    Error,
    admin::{Admin, MODEL_VERSION},
    launch::{self, Frontend, Member, Server},
    measure::Sweep,
    plan::Point,
    settings::Settings,
};

/// A frontend and its replicas. Dropping it stops them, the replicas first.
#[derive(Debug)]
pub struct Deployment {
    /// The replicas.
    pub replicas: Vec<Box<dyn Member>>,
    /// The frontend.
    pub frontend: Frontend,
    /// A client of it.
    pub admin: Admin,
    /// The ids of the replicas when all were registered.
    registered: Vec<u32>,
}

impl Deployment {
    /// Starts everything and waits until every replica is registered.
    pub fn start(sweep: &Sweep, point: &Point, slot: &Slot) -> Result<Deployment, Error> {
        let pinned = sweep.plan.others.pinned;
        let cores = pinned.then_some(&sweep.plan.others.frontend[..]);
        let manager = &sweep.manager;
        let frontend = manager.frontend(cores, &slot.logs, &|| sweep.interrupted())?;
        let admin = Admin::new(frontend.address, frontend.ports);
        let settings = &sweep.settings;
        admin.deploy(&app(settings), &model(settings, point))?;
        let mut deployment = Deployment {
            replicas: Vec::new(),
            frontend,
            admin,
            registered: Vec::new(),
        };
        let replicas = point.replica_cores.iter().zip(&point.devices);
        for (index, (cores, device)) in replicas.enumerate() {
            let server = Server {
                name: format!("{}-{index}", settings.model.name),
                told: told(settings),
                model_path: settings.model_path.as_deref().map(Path::new),
                device: *device,
                cores: pinned.then_some(&cores[..]),
            };
            let replica = manager.server(server, &deployment.frontend, &slot.logs)?;
            deployment.replicas.push(replica);
        }
        deployment.wait(sweep, point.batch_size)?;
        Ok(deployment)
    }

    /// Where its clients find it.
    pub fn target(&self, settings: &Settings) -> Target<'static> {
        let (address, ports) = (self.frontend.address, self.frontend.ports);
        Target {
            answers: format!("tcp://{}", SocketAddr::new(address, ports.send_port)),
            requests: format!("tcp://{}", SocketAddr::new(address, ports.recv_port)),
            app: settings.model.name,
            input_type: settings.input_type,
        }
    }

    fn wait(&mut self, sweep: &Sweep, batch_size: usize) -> Result<(), Error> {
        const LIMIT: Duration = Duration::from_secs(300);
        let began = Instant::now();
        loop {
            sweep.interrupted()?;
            self.frontend.member.check("during start-up")?;
            for replica in &mut self.replicas {
                replica.check("during start-up")?;
            }
            let replicas = self.admin.replicas()?;
            let registered = replicas.len();
            if registered == self.replicas.len() {
                self.registered = replicas.iter().map(|r| r.replica_id).collect();
                let mut models = replicas.iter().filter_map(|r| r.metadata.as_ref());
                return models.try_for_each(|metadata| {
                    fits(&metadata.model, batch_size)?;
                    sweep.inputs.check(&metadata.model)
                });
            }
            if began.elapsed() > LIMIT {
                return Err(Error::Failed(format!(
                    "{registered} of {} replicas have registered in {} s: see their logs beside {}",
                    self.replicas.len(),
                    LIMIT.as_secs(),
                    self.frontend.member.log().display()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// An error if the frontend or all replicas have ended.
    pub fn check(&mut self) -> Result<(), Error> {
        self.frontend.member.check("under load")?;
        match self.died() == self.replicas.len() {
            true => self.replicas[0].check("under load, as all replicas did"),
            false => Ok(()),
        }
    }

    /// True if every replica has answered two batches.
    pub fn is_warm(&mut self) -> Result<bool, Error> {
        match self.admin.replicas() {
            Ok(replicas) => Ok(replicas.iter().all(|replica| replica.batches >= 2)),
            Err(error) => Err(self.why_silent().unwrap_or(error)),
        }
    }

    /// Why the frontend does not answer, if that is because it has ended: its port is closed a moment before that is known.
    fn why_silent(&mut self) -> Option<Error> {
        let limit = Instant::now() + Duration::from_secs(1);
        while Instant::now() < limit && self.frontend.member.is_running() {
            thread::sleep(Duration::from_millis(10));
        }
        self.check().err()
    }

    /// How many replicas have ended, whether or not they were started again.
    pub fn died(&mut self) -> usize {
        let replicas = self.replicas.iter_mut();
        replicas.filter_map(|replica| replica.ended()).count()
    }

    /// How many of the replicas that were there at the beginning are not among those that are `listed`.
    pub fn lost(&self, listed: &[ReplicaResult]) -> usize {
        let is_listed = |id: u32| listed.iter().any(|r| r.replica.replica_id == id);
        let registered = self.registered.iter();
        registered.filter(|&&id| !is_listed(id)).count()
    }

    /// Every replica that is registered, as frontend and kernel see it.
    pub fn replica_results(&mut self) -> Result<Vec<ReplicaResult>, Error> {
        let result = |replica: Replica| {
            let metadata = replica.metadata.as_ref();
            let mut members = self.replicas.iter();
            let member = members.find(|member| metadata.is_some_and(|m| member.is(m)));
            let cores = member.and_then(|member| member.cores().ok());
            ReplicaResult {
                replica,
                pid: member.map(|member| member.pid()),
                cores: cores.map(|cores| cores::show(&cores)),
            }
        };
        Ok(self.admin.replicas()?.into_iter().map(result).collect())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        launch::stop(&mut self.replicas);
        launch::stop(slice::from_mut(&mut self.frontend.member));
    }
}

/// What every model server is told.
fn told(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("model_name", settings.model.name.to_owned()),
        ("model_version", MODEL_VERSION.to_owned()),
        ("input_type", settings.input_type.name().to_owned()),
        ("gpu_mem_frac", settings.gpu_mem_frac.to_string()),
    ];
    told.extend(settings.engine.map(|engine| ("engine", engine.to_owned())));
    told
}

/// An error if the model takes smaller batches only: the point would not measure what it says.
fn fits(model: &ModelInfo, batch_size: usize) -> Result<(), Error> {
    match model.max_batch {
        Some(most) if most < batch_size => Err(Error::Failed(format!(
            "the model takes batches of {most} at most, not {batch_size}: give --batch_sizes {most}, or take another \
             artifact (the model server's log says more)"
        ))),
        _ => Ok(()),
    }
}

fn app(settings: &Settings) -> AddApp {
    AddApp {
        name: settings.model.name.to_owned(),
        input_type: settings.input_type,
        default_output: "TIMEOUT".to_owned(),
        latency_slo_micros: i64::try_from(settings.told_objective().as_micros())
            .unwrap_or(i64::MAX),
    }
}

fn model(settings: &Settings, point: &Point) -> AddModel {
    AddModel {
        model_name: settings.model.name.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        labels: Vec::new(),
        input_type: settings.input_type,
        container_name: settings.model.name.to_owned(),
        model_data_path: settings.model_path.clone().unwrap_or_default(),
        batch_size: i32::try_from(point.batch_size).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_beyond_the_limit_is_refused_with_both_numbers() {
        let takes = |max_batch| ModelInfo {
            max_batch,
            ..ModelInfo::default()
        };
        assert!(fits(&takes(None), 32).is_ok());
        assert!(fits(&takes(Some(1)), 1).is_ok());
        let error = fits(&takes(Some(1)), 32).unwrap_err().to_string();
        assert!(error.contains("batches of 1 at most, not 32"), "{error}");
        assert!(error.contains("--batch_sizes 1"), "{error}");
    }
}
