//! What the ZeroMQ loops of frontend, model servers and driver stand on.
//!
//! - [`Frame`]: a frame that is counted, not copied, when it is kept or sent on.
//! - [`recv`], [`send`]: whole multipart messages, without waiting.
//! - [`give_back_memory`]: what long queues of frames have left in the allocator.
//! - [`Wake`], [`Timer`]: what a loop polls beside its sockets. `zmq_poll` counts whole milliseconds, so deadlines come
//!   from a timer that the kernel keeps.
//! - [`curve`]: keys that encrypt connections, and say who connects.

pub mod curve;
mod fds;
mod frame;

pub use fds::{Timer, Wake};
pub use frame::{Frame, give_back_memory, recv, send};
