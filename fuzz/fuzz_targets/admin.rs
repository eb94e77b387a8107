//! Bodies of the admin API, for each endpoint.
#![no_main]

use frontend::fuzzing;
use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, to_value};
use wire::admin::{AdminRequest, Change, ENDPOINTS};

/// An object with one member has 6 bytes, and its tree node has room for eleven members: 632 bytes.
const FACTOR: usize = 128;

fuzz_target!(|bytes: &[u8]| {
    let Some((endpoint, body)) = bytes.split_first() else {
        return;
    };
    let endpoint = &ENDPOINTS[usize::from(*endpoint) % ENDPOINTS.len()];
    let Ok(tree) = bounded(FACTOR, body.len(), || fuzzing::admin(body)) else {
        assert!(serde_json::from_slice::<Value>(body).is_err());
        return;
    };
    compare(body, &tree);
    let request = endpoint.request(&tree);
    let again = match &request {
        Ok(AdminRequest::Change(Change::AddApp(app))) => to_value(app),
        Ok(AdminRequest::Change(Change::AddModel(model))) => to_value(model),
        Ok(AdminRequest::Change(Change::AddLinks(links) | Change::DeleteLinks(links))) => {
            to_value(links)
        }
        Ok(AdminRequest::Change(Change::SetVersion(id) | Change::DeleteModel(id))) => to_value(id),
        _ => return,
    };
    let again = again.expect("text and numbers can be encoded");
    assert_eq!(endpoint.request(&again), request);
});

/// Compares the tree with serde_json's, except for repeated names and numbers at the limits of 64
/// bits.
fn compare(body: &[u8], ours: &Value) {
    let Ok(theirs) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let colons = body.iter().filter(|byte| **byte == b':').count();
    let text = String::from_utf8_lossy(body);
    let odd = ["-0", "18446744073709551615"];
    if members(&theirs) == colons && !odd.iter().any(|number| text.contains(number)) {
        assert_eq!(*ours, theirs);
    }
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(members).sum(),
        Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}
