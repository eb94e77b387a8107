//! Links LightGBM's library, which `make setup` puts into `.deps/lib`; `LIGHTGBM_LIB_DIR` names another folder.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=LIGHTGBM_LIB_DIR");
    let folder = env::var_os("LIGHTGBM_LIB_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.deps/lib")),
        PathBuf::from,
    );
    let library = folder.join("lib_lightgbm.so");
    println!("cargo::rerun-if-changed={}", library.display());
    if !library.is_file() {
        println!(
            "cargo::error=LightGBM's library is missing (looked for {}): run `make setup`, or name its folder with \
             LIGHTGBM_LIB_DIR",
            library.display()
        );
        return;
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
    println!("cargo::rustc-link-lib=dylib=_lightgbm");
}
