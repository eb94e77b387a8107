//! A frontend and the replicas of one model, from their start to their end.

use std::{
    net::SocketAddr,
    path::Path,
    slice,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use host::cores::Cores;
use model::{DataType, Device, ModelInfo};
use wire::admin::{AddApp, AddModel, Replica};

use crate::{
    admin::{Admin, MODEL_VERSION},
    error::{Error, check_stop},
    manager::Manager,
    member::{Frontend, Member, Server, stop_all},
};

/// Specification of a deployment.
#[derive(Clone, Debug)]
pub struct DeploymentSpec<'a> {
    /// The name of model and application.
    pub model: &'a str,
    /// The type of its inputs.
    pub input_type: DataType,
    /// The maximum batch size.
    pub batch_size: usize,
    /// Latency objective of the application; queries that miss it get the default output.
    pub objective: Duration,
    /// The engine of the model, if it is not its usual one.
    pub engine: Option<&'a str>,
    /// The share of its GPU's memory that a replica may take.
    pub gpu_mem_frac: f32,
    /// The model's artifact, if it is not the model server's own.
    pub model_path: Option<&'a str>,
    /// The frontend's cores; `None`: those of this process.
    pub frontend_cores: Option<&'a [usize]>,
    /// The replicas; one at least.
    pub replicas: Vec<ReplicaSpec<'a>>,
}

/// A replica that is to be deployed.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaSpec<'a> {
    /// Where it computes.
    pub device: Device,
    /// Its cores; `None`: those of this process.
    pub cores: Option<&'a [usize]>,
}

/// Where clients find a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where they connect and get their answers, for instance `tcp://127.0.0.1:4455`.
    pub answers: String,
    /// Where requests go.
    pub requests: String,
}

/// A replica that is registered, as frontend and kernel see it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What the frontend lists of it.
    pub replica: Replica,
    /// Its process id, where it is one of the deployment.
    pub pid: Option<u32>,
    /// The cores that the kernel lets it run on.
    pub cores: Option<Cores>,
}

/// A frontend and its replicas. Dropping it stops them, the replicas first.
#[derive(Debug)]
pub struct Deployment {
    /// The replicas.
    pub replicas: Vec<Box<dyn Member>>,
    /// The frontend.
    pub frontend: Frontend,
    /// A client of it.
    pub admin: Admin,
    /// The replicas when all were registered.
    registered: Vec<Replica>,
}

impl Deployment {
    /// Starts everything and waits until every replica is registered; their output goes into the folder `logs`.
    ///
    /// # Errors
    /// If something does not start or register, does not take batches of this size, or `stop` is set. Nothing is left
    /// then.
    pub fn start(
        manager: &Manager,
        spec: &DeploymentSpec<'_>,
        logs: &Path,
        stop: &AtomicBool,
    ) -> Result<Deployment, Error> {
        let frontend = manager.frontend(spec.frontend_cores, logs, stop)?;
        let admin = Admin::new(frontend.address, frontend.ports);
        admin.deploy(&spec.app(), &spec.add_model())?;
        let mut deployment = Deployment {
            replicas: Vec::new(),
            frontend,
            admin,
            registered: Vec::new(),
        };
        for (index, replica) in spec.replicas.iter().enumerate() {
            let server = Server {
                name: format!("{}-{index}", spec.model),
                told: spec.told(),
                model_path: spec.model_path.map(Path::new),
                device: replica.device,
                cores: replica.cores,
            };
            let replica = manager.server(server, &deployment.frontend, logs)?;
            deployment.replicas.push(replica);
        }
        deployment.wait(spec.batch_size, stop)?;
        Ok(deployment)
    }

    /// Where its clients find it.
    pub fn endpoints(&self) -> Endpoints {
        let at = |port| format!("tcp://{}", SocketAddr::new(self.frontend.address, port));
        Endpoints {
            answers: at(self.frontend.ports.send_port),
            requests: at(self.frontend.ports.recv_port),
        }
    }

    /// The models of the replicas, as they were when all were registered; one that its model server did not describe is
    /// not among them.
    pub fn models(&self) -> impl Iterator<Item = &ModelInfo> {
        let described = self.registered.iter().filter_map(|r| r.metadata.as_ref());
        described.map(|metadata| &metadata.model)
    }

    fn wait(&mut self, batch_size: usize, stop: &AtomicBool) -> Result<(), Error> {
        const LIMIT: Duration = Duration::from_secs(300);
        let began = Instant::now();
        loop {
            check_stop(stop)?;
            self.frontend.member.check("during start-up")?;
            for replica in &mut self.replicas {
                replica.check("during start-up")?;
            }
            let replicas = self.admin.replicas()?;
            let registered = replicas.len();
            if registered == self.replicas.len() {
                self.registered = replicas;
                return self.models().try_for_each(|model| fits(model, batch_size));
            }
            if began.elapsed() > LIMIT {
                return Err(Error::Replica(format!(
                    "{registered} of {} replicas have registered in {} s: see their logs beside {}",
                    self.replicas.len(),
                    LIMIT.as_secs(),
                    self.frontend.member.log().display()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks that the frontend and one replica have not ended.
    ///
    /// # Errors
    /// If they have.
    pub fn check(&mut self) -> Result<(), Error> {
        self.frontend.member.check("under load")?;
        match self.died() == self.replicas.len() {
            true => self.replicas[0].check("under load, as all replicas did"),
            false => Ok(()),
        }
    }

    /// True if every replica has answered two batches.
    ///
    /// # Errors
    /// If the frontend does not answer.
    pub fn is_warm(&mut self) -> Result<bool, Error> {
        match self.admin.replicas() {
            Ok(replicas) => Ok(replicas.iter().all(|replica| replica.batches >= 2)),
            Err(error) => Err(self.why_silent().unwrap_or(error)),
        }
    }

    /// Why the frontend does not answer, if that is because it has ended: its port is closed a moment before that is
    /// known.
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
    pub fn lost(&self, listed: &[Registered]) -> usize {
        let is_listed = |one: &Replica| {
            let mut listed = listed.iter();
            listed.any(|other| other.replica.replica_id == one.replica_id)
        };
        let registered = self.registered.iter();
        registered.filter(|one| !is_listed(one)).count()
    }

    /// Every replica that is registered, as frontend and kernel see it.
    ///
    /// # Errors
    /// If the frontend does not answer.
    pub fn registered(&self) -> Result<Vec<Registered>, Error> {
        let registered = |replica: Replica| {
            let metadata = replica.metadata.as_ref();
            let mut members = self.replicas.iter();
            let member = members.find(|member| metadata.is_some_and(|m| member.is(m)));
            Registered {
                replica,
                pid: member.map(|member| member.pid()),
                cores: member.and_then(|member| member.cores().ok()),
            }
        };
        Ok(self.admin.replicas()?.into_iter().map(registered).collect())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        stop_all(&mut self.replicas);
        stop_all(slice::from_mut(&mut self.frontend.member));
    }
}

impl DeploymentSpec<'_> {
    /// What every model server is told.
    fn told(&self) -> Vec<(&'static str, String)> {
        let mut told = vec![
            ("model_name", self.model.to_owned()),
            ("model_version", MODEL_VERSION.to_owned()),
            ("input_type", self.input_type.name().to_owned()),
            ("gpu_mem_frac", self.gpu_mem_frac.to_string()),
        ];
        told.extend(self.engine.map(|engine| ("engine", engine.to_owned())));
        told
    }

    fn app(&self) -> AddApp {
        AddApp {
            name: self.model.to_owned(),
            input_type: self.input_type,
            default_output: "TIMEOUT".to_owned(),
            latency_slo_micros: i64::try_from(self.objective.as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn add_model(&self) -> AddModel {
        AddModel {
            model_name: self.model.to_owned(),
            model_version: MODEL_VERSION.to_owned(),
            labels: Vec::new(),
            input_type: self.input_type,
            container_name: self.model.to_owned(),
            model_data_path: self.model_path.unwrap_or_default().to_owned(),
            batch_size: i32::try_from(self.batch_size).unwrap_or(i32::MAX),
        }
    }
}

/// An error if the model takes smaller batches only: the point would not measure what it says.
fn fits(model: &ModelInfo, batch_size: usize) -> Result<(), Error> {
    match model.max_batch {
        Some(most) if most < batch_size => Err(Error::Replica(format!(
            "the model takes batches of {most} at most, not {batch_size}: give --batch_sizes {most}, or take another \
             artifact (the model server's log says more)"
        ))),
        _ => Ok(()),
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
