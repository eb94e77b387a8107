//! Deployment of a frontend and the replicas of one model, from start to stop.
//!
//! - [`Manager`]: starts frontends and model servers as child processes ([`process`]) or Docker
//!   containers ([`docker`]).
//! - [`Deployment`]: a frontend with its replicas, started by a manager from a [`DeploymentSpec`].
//!   It pins them, verifies the pins in the kernel, checks their health, and stops them on drop.
//! - [`Handle`]: one of these processes or containers.
//! - [`Admin`]: a client of a frontend's admin REST interface.
//! - [`models`]: the models that can be deployed, with their input types, engines and artifacts.
//!
//! The crate sends no queries: [`Deployment::endpoints`] returns the addresses for a load generator.

mod admin;
mod deployment;
pub mod docker;
mod error;
mod handle;
mod manager;
pub mod models;
pub mod process;
mod requirements;

pub use admin::{Admin, MODEL_VERSION};
pub use deployment::{Deployment, DeploymentSpec, Endpoints, RegisteredReplica, ReplicaSpec};
pub use error::Error;
pub use handle::{FrontendHandle, Handle, ModelServerSpec};
pub use manager::{Manager, ManagerSpec};
pub use wire::BoundPorts;
