//! Links LightGBM's library, which `make setup` puts into `.deps/lib`; `LIGHTGBM_LIB_DIR` names another folder.
//!
//! The library is copied to the build's own folder: what cargo starts is told to look there, wherever the target folder
//! is.

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
            "cargo::error=LightGBM's library {} cannot be read ({error}): run `make setup`, or name its folder with \
             LIGHTGBM_LIB_DIR",
            library.display()
        ),
    }
}
