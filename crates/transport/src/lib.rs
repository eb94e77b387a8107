//! What the ZeroMQ loops of frontend, model servers and driver stand on.
//!
//! - [`Frame`]: a frame that is counted, not copied, when it is kept or sent on.
//! - [`recv`], [`send`]: whole multipart messages, without waiting.
//! - [`keep_memory`], [`give_back_memory`]: large frames in the allocator, and what long queues of them have left there.
//! - [`Waker`], [`Timer`]: what a loop polls beside its sockets. `zmq_poll` counts whole milliseconds, so deadlines come
//!   from a timer that the kernel keeps.
//! - [`curve`]: keys that encrypt connections, and say who connects.

pub mod curve;
mod fds;
mod frame;

pub use fds::{Timer, Waker};
pub use frame::{Frame, give_back_memory, keep_memory, recv, send};
