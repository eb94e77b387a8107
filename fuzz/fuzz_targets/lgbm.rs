//! LightGBM's text models, as far as they are checked before LightGBM sees them; it is not linked.
#![no_main]

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;

#[path = "../../containers/lgbm/src/model_file.rs"]
mod model_file;

/// A field is 3 bytes, and two slices in a table that grows; a number is 2, and 8 in a list.
const FACTOR: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let check = |text| bounded(FACTOR, bytes.len(), || model_file::check(text));
    if check(text).is_ok() {
        let tree = text.find("\nTree=").expect("there is a tree");
        assert!(check(&text[..tree + 6]).is_err(), "it ends within a tree");
    }
});
