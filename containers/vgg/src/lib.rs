//! The vgg model server.
