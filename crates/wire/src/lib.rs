//! Encoding and decoding of all messages between clients, frontend and model servers.
//!
//! The crate is synchronous and has no sockets. A message consists of the frames after the sender's
//! routing identity in a ZeroMQ multipart message, beginning with the empty delimiter. All numbers
//! are little-endian. Decoding checks the whole message: a missing or extra frame, or one of the
//! wrong size, is a [`DecodeError`], never a panic.
//!
//! - [`rpc`] is the protocol between model servers and frontend: three generations of Clipper, and
//!   our version 4.
//! - [`query`] is the protocol between ZeroMQ clients and frontend: two generations of Clipper, and
//!   our native one.
//! - [`admin`] holds the bodies of the admin REST API.
//! - [`BoundPorts`] is the line that a frontend prints with the ports that it has bound.

pub mod admin;
mod codec;
mod ports;
pub mod query;
pub mod rpc;

pub use codec::{DecodeError, MessageFrame};
pub use ports::BoundPorts;
