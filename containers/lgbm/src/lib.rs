//! The lgbm model server.
