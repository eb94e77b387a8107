//! lgbm in process.

fn main() {}
