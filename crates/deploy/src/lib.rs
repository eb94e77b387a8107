//! Deployment: a frontend and the replicas of one model, from their start to their end.
//!
//! - [`Manager`]: what starts frontends and model servers: [`process`] (children of this process) or [`docker`].
//! - [`Deployment`]: a frontend with its replicas, started by a manager as a [`DeploymentSpec`] says, pinned, read back
//!   from the kernel, checked, and stopped when it is dropped.
//! - [`Member`]: one of these processes or containers. [`Admin`]: a client of a frontend's REST side.
//! - [`models`]: the models that can be deployed, and what each takes.
//!
//! The crate sends no query: a deployment says where a load is to go.

mod admin;
mod deployment;
pub mod docker;
mod error;
mod manager;
mod member;
pub mod models;
pub mod process;
mod requirements;

pub use admin::{Admin, MODEL_VERSION};
pub use deployment::{Deployment, DeploymentSpec, Endpoints, Registered, ReplicaSpec};
pub use error::Error;
pub use manager::{Manager, ManagerSpec};
pub use member::{Frontend, Member, Server};
pub use wire::BoundPorts;
