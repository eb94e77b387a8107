//! A frontend and the replicas of one model, from start to stop.

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
use wire::admin::{AddApp, AddModel, ReplicaInfo};

use crate::{
    admin::{Admin, MODEL_VERSION},
    error::{Error, check_stop},
    handle::{FrontendHandle, Handle, ModelServerSpec, stop_all},
    manager::Manager,
};

/// Specification of a deployment.
#[derive(Clone, Debug)]
pub struct DeploymentSpec<'a> {
    /// Name of the model and of its application.
    pub model: &'a str,
    /// Type of the model's inputs.
    pub input_type: DataType,
    /// Maximum batch size, in queries.
    pub batch_size: usize,
    /// Latency objective of the application; queries that miss it get the default output.
    pub objective: Duration,
    /// Inference engine; `None`: the model's default.
    pub engine: Option<&'a str>,
    /// Fraction of its GPU's memory that a replica may use: 0 to 1.
    pub gpu_mem_frac: f32,
    /// Path of the model's artifact; `None`: the model server's default.
    pub model_path: Option<&'a str>,
    /// Cores of the frontend; `None`: those of this process.
    pub frontend_cores: Option<&'a [usize]>,
    /// Specifications of the replicas, at least one.
    pub replicas: Vec<ReplicaSpec<'a>>,
}

/// Specification of a replica.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaSpec<'a> {
    /// Device that the replica runs on.
    pub device: Device,
    /// Cores of the replica; `None`: those of this process.
    pub cores: Option<&'a [usize]>,
}

/// ZeroMQ addresses of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Address at which clients connect and receive answers, for instance `tcp://127.0.0.1:4455`.
    pub answers: String,
    /// Address that clients send requests to.
    pub requests: String,
}

/// A registered replica, as frontend and kernel report it.
#[derive(Clone, Debug)]
pub struct RegisteredReplica {
    /// Entry of the frontend's list of replicas.
    pub replica: ReplicaInfo,
    /// Process id; `None` if the replica is not of this deployment.
    pub pid: Option<u32>,
    /// Cores that the kernel allows it to run on.
    pub cores: Option<Cores>,
}

/// A running frontend with its replicas. Dropping it stops them, the replicas first.
#[derive(Debug)]
pub struct Deployment {
    /// Handles of the replicas.
    pub replicas: Vec<Box<dyn Handle>>,
    /// Handle of the frontend.
    pub frontend: FrontendHandle,
    /// Client of the frontend's admin interface.
    pub admin: Admin,
    /// The frontend's list of replicas at the time all had registered.
    registered: Vec<ReplicaInfo>,
}

impl Deployment {
    /// Starts frontend and replicas and waits until every replica is registered. Log files go to the
    /// folder `logs`.
    ///
    /// # Errors
    /// If a process does not start, a replica does not register or does not support the batch size, or
    /// `stop` is set. Everything started so far is stopped.
    pub fn start(
        manager: &Manager,
        spec: &DeploymentSpec<'_>,
        logs: &Path,
        stop: &AtomicBool,
    ) -> Result<Deployment, Error> {
        let frontend = manager.start_frontend(spec.frontend_cores, logs, stop)?;
        let admin = Admin::new(frontend.address, frontend.ports);
        admin.deploy(&spec.app(), &spec.add_model())?;
        let mut deployment = Deployment {
            replicas: Vec::new(),
            frontend,
            admin,
            registered: Vec::new(),
        };
        for (index, replica) in spec.replicas.iter().enumerate() {
            let server = ModelServerSpec {
                name: format!("{}-{index}", spec.model),
                args: spec.args(&deployment.frontend),
                model_path: spec.model_path.map(Path::new),
                device: replica.device,
                cores: replica.cores,
            };
            let replica = manager.start_replica(server, logs)?;
            deployment.replicas.push(replica);
        }
        deployment.wait_registered(spec.batch_size, stop)?;
        Ok(deployment)
    }

    /// Addresses that clients connect to.
    pub fn endpoints(&self) -> Endpoints {
        let at = |port| format!("tcp://{}", SocketAddr::new(self.frontend.address, port));
        Endpoints {
            answers: at(self.frontend.ports.send_port),
            requests: at(self.frontend.ports.recv_port),
        }
    }

    /// Models of the replicas at the time all had registered, without those that sent no metadata.
    pub fn models(&self) -> impl Iterator<Item = &ModelInfo> {
        let described = self.registered.iter().filter_map(|r| r.metadata.as_ref());
        described.map(|metadata| &metadata.model)
    }

    fn wait_registered(&mut self, batch_size: usize, stop: &AtomicBool) -> Result<(), Error> {
        const LIMIT: Duration = Duration::from_secs(300);
        let start = Instant::now();
        loop {
            check_stop(stop)?;
            self.frontend.handle.check("during start-up")?;
            for replica in &mut self.replicas {
                replica.check("during start-up")?;
            }
            let replicas = self.admin.replicas()?;
            let registered = replicas.len();
            if registered == self.replicas.len() {
                self.registered = replicas;
                return self
                    .models()
                    .try_for_each(|model| check_batch_size(model, batch_size));
            }
            if start.elapsed() > LIMIT {
                return Err(Error::Replica(format!(
                    "only {registered} of {} replicas registered within {} s: see their logs beside {}",
                    self.replicas.len(),
                    LIMIT.as_secs(),
                    self.frontend.handle.log().display()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks that the frontend and at least one replica have not exited.
    ///
    /// # Errors
    /// If the frontend or all replicas have exited.
    pub fn check(&mut self) -> Result<(), Error> {
        self.frontend.handle.check("under load")?;
        match self.replicas_died() == self.replicas.len() {
            true => self.replicas[0].check("under load, as all replicas did"),
            false => Ok(()),
        }
    }

    /// Returns true once every replica has answered two batches.
    ///
    /// # Errors
    /// If the frontend does not answer.
    pub fn is_warm(&mut self) -> Result<bool, Error> {
        match self.admin.replicas() {
            Ok(replicas) => Ok(replicas.iter().all(|replica| replica.batches >= 2)),
            Err(error) => Err(self.exit_error().unwrap_or(error)),
        }
    }

    /// Waits up to 1 s for the frontend to exit, because its port closes a moment before its exit is
    /// visible. Returns the error of that exit, or `None` if the processes still run.
    fn exit_error(&mut self) -> Option<Error> {
        let limit = Instant::now() + Duration::from_secs(1);
        while Instant::now() < limit && self.frontend.handle.is_running() {
            thread::sleep(Duration::from_millis(10));
        }
        self.check().err()
    }

    /// Number of replicas that have exited, restarted ones included.
    pub fn replicas_died(&mut self) -> usize {
        let replicas = self.replicas.iter_mut();
        replicas.filter_map(|replica| replica.exit_status()).count()
    }

    /// Number of replicas that registered at the start and are not among the `listed` ones.
    pub fn replicas_lost(&self, listed: &[RegisteredReplica]) -> usize {
        let is_listed = |replica: &ReplicaInfo| {
            let mut listed = listed.iter();
            listed.any(|other| other.replica.replica_id == replica.replica_id)
        };
        let registered = self.registered.iter();
        registered.filter(|replica| !is_listed(replica)).count()
    }

    /// Lists every registered replica, with its process id and cores.
    ///
    /// # Errors
    /// If the frontend does not answer.
    pub fn registered_replicas(&self) -> Result<Vec<RegisteredReplica>, Error> {
        let registered = |replica: ReplicaInfo| {
            let metadata = replica.metadata.as_ref();
            let mut handles = self.replicas.iter();
            let handle = handles.find(|handle| metadata.is_some_and(|m| handle.matches(m)));
            RegisteredReplica {
                replica,
                pid: handle.map(|handle| handle.pid()),
                cores: handle.and_then(|handle| handle.cores().ok()),
            }
        };
        Ok(self.admin.replicas()?.into_iter().map(registered).collect())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        stop_all(&mut self.replicas);
        stop_all(slice::from_mut(&mut self.frontend.handle));
    }
}

impl DeploymentSpec<'_> {
    /// Returns the flags that all model servers of the frontend have in common.
    fn args(&self, frontend: &FrontendHandle) -> Vec<(&'static str, String)> {
        let mut args = vec![
            ("model_name", self.model.to_owned()),
            ("model_version", MODEL_VERSION.to_owned()),
            ("input_type", self.input_type.name().to_owned()),
            ("gpu_mem_frac", self.gpu_mem_frac.to_string()),
        ];
        args.extend(self.engine.map(|engine| ("engine", engine.to_owned())));
        args.push(("ip", frontend.replica_host.clone()));
        args.push(("port", frontend.ports.rpc_service_port.to_string()));
        args
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

/// Fails if the model only takes smaller batches: the trial would measure another batch size.
fn check_batch_size(model: &ModelInfo, batch_size: usize) -> Result<(), Error> {
    match model.max_batch {
        Some(limit) if limit < batch_size => Err(Error::Replica(format!(
            "the model takes batches of {limit} at most, not {batch_size}: give --batch_sizes {limit}, or use another \
             artifact; details are in the model server's log"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_batch_size_beyond_the_limit_of_the_model() {
        let model = |max_batch| ModelInfo {
            max_batch,
            ..ModelInfo::default()
        };
        assert!(check_batch_size(&model(None), 32).is_ok());
        assert!(check_batch_size(&model(Some(1)), 1).is_ok());
        let error = check_batch_size(&model(Some(1)), 32)
            .unwrap_err()
            .to_string();
        assert!(error.contains("batches of 1 at most, not 32"), "{error}");
        assert!(error.contains("--batch_sizes 1"), "{error}");
    }
}
