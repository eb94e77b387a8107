//! svm in process.

fn main() {}
