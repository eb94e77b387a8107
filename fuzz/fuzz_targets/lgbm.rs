//! The check of LightGBM's text models that precedes LightGBM, which is not linked.
#![no_main]

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;

#[path = "../../containers/lgbm/src/model_file.rs"]
mod model_file;

/// A field has 3 bytes, and two slices in a growing table; a number has 2 bytes, and 8 in a list.
const FACTOR: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let check = |text| bounded(FACTOR, bytes.len(), || model_file::check(text));
    if check(text).is_ok() {
        let tree = text.find("\nTree=").expect("an accepted model has a tree");
        assert!(
            check(&text[..tree + 6]).is_err(),
            "a model that ends within a tree was accepted"
        );
    }
});
