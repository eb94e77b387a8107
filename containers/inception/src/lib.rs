//! The inception model server.
