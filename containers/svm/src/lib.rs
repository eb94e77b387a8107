//! The svm model server.
