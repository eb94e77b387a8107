//! Links LightGBM's library from `.deps/lib`, where `make setup` puts it, or from
//! `LIGHTGBM_LIB_DIR`.
//!
//! The library is copied to `OUT_DIR`, which cargo adds to the library path of the programs it
//! runs.

use std::{env, fs, path::PathBuf};

const LIBRARY: &str = "lib_lightgbm.so";

fn main() {
    println!("cargo::rerun-if-env-changed=LIGHTGBM_LIB_DIR");
    let folder = env::var_os("LIGHTGBM_LIB_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.deps/lib")),
        PathBuf::from,
    );
    let library = folder.join(LIBRARY);
    println!("cargo::rerun-if-changed={}", library.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    match fs::copy(&library, out.join(LIBRARY)) {
        Ok(_) => {
            println!("cargo::rustc-link-search=native={}", out.display());
            println!("cargo::rustc-link-lib=dylib=_lightgbm");
        }
        Err(error) => println!(
            "cargo::error=cannot read LightGBM's library {} ({error}): run `make setup`, or set LIGHTGBM_LIB_DIR to \
             its folder",
            library.display()
        ),
    }
}
