//! ZeroMQ frames, whole messages, wake-ups and keys, for the loops of frontend, model servers and
//! driver.
//!
//! - [`Frame`]: a reference-counted frame, which is not copied when it is kept or sent on.
//! - [`recv`], [`send`]: receive and send whole multipart messages without waiting.
//! - [`keep_freed_memory`], [`return_free_memory`]: configure and trim the allocator for large
//!   frames.
//! - [`Waker`], [`Timer`]: file descriptors that a loop polls beside its sockets. `zmq_poll` has a
//!   resolution of one millisecond, so deadlines use a timer of the kernel.
//! - [`curve`]: keys that encrypt connections and authenticate peers.

pub mod curve;
mod fds;
mod frame;

pub use fds::{Timer, Waker};
pub use frame::{Frame, keep_freed_memory, recv, return_free_memory, send};
