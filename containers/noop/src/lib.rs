//! The noop model server.
