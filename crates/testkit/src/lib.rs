//! What tests share: a frontend in this process, peers that say exactly the frames that a test wants, and what
//! torchvision computes of photographs.
//!
//! Every wait ends after [`PATIENCE`] with a panic that says what did not come.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "only tests use it, and a panic is how a test fails"
)]

mod faulty_replica;
mod http;
mod model_server;
mod peer;
mod program;
mod python;
mod redis;
mod reference;
mod rest;
mod settings;
mod wait;

pub use faulty_replica::{Behaviour, FaultyReplica};
pub use http::{Http, Response};
pub use model_server::{ModelServer, Rpc};
pub use peer::{Peer, double, inputs, registration, replica};
pub use program::{Program, Serves};
pub use python::{Script, schema_errors};
pub use redis::Redis;
pub use reference::{Answer, Reference};
pub use rest::{admin, deploy, deploy_for, get, replicas};
pub use settings::{settings, settings_with};
pub use wait::{PATIENCE, PATIENCE_WITH_PROGRAMS, until};
