//! Every message between clients, frontend and model servers: frames to types and back.
//!
//! Sync and without sockets. A message is what follows the sender's routing identity in a ZeroMQ multipart message,
//! its empty delimiter first. All numbers are little-endian. Decoding reads the whole message: a frame too many, too
//! few or of the wrong size is a [`DecodeError`], never a panic.
//!
//! - [`rpc`]: model servers and frontend, the three generations of Clipper and our version 4.
//! - [`query`]: clients and frontend over ZeroMQ, Clipper's two generations and our native one.
//! - [`admin`]: the bodies of the admin REST API.
//! - [`BoundPorts`]: the line by which a frontend says where it listens.

pub mod admin;
mod codec;
mod ports;
pub mod query;
pub mod rpc;

pub use codec::{DecodeError, Frame};
pub use ports::BoundPorts;
