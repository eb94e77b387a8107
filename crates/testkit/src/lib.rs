//! Shared code of tests: a frontend in the test's process, peers that send exact frames, and
//! torchvision's features of photographs.
//!
//! Every wait ends after [`TIMEOUT`] or [`PROCESS_TIMEOUT`] with a panic that names the missing
//! event.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "only tests use this crate, and a test fails by a panic"
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
pub use http::{HttpClient, HttpResponse};
pub use model_server::{ModelServer, Rpc};
pub use peer::{Peer, inputs, registration, replica, reply_doubled};
pub use program::{FrontendProcess, HasPorts};
pub use python::{Script, schema_errors};
pub use redis::RedisServer;
pub use reference::{PictureFeatures, Reference};
pub use rest::{admin, deploy, deploy_for, get, replicas};
pub use settings::{settings, settings_with};
pub use wait::{PROCESS_TIMEOUT, TIMEOUT, wait_until};
