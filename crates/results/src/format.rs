//! Conversion of results of the former format.

use serde_json::{Value, json};

use crate::trial::FORMAT;

/// The former format, in which the baseline is called `zero`. Its results are converted when they
/// are read.
pub(crate) const FORMER: u32 = 2;

/// Folder of the baseline's results in the folder of a sweep.
pub(crate) const BASELINE: &str = "baseline";

/// The same in a sweep of the former format.
pub(crate) const FORMER_BASELINE: &str = "zero";

/// Converts the JSON of a result of the former format. The path of the baseline's file stays as it
/// is.
pub(crate) fn convert_former(json: &mut Value) {
    json["format"] = json!(FORMAT);
    let Some(result) = json.as_object_mut() else {
        return;
    };
    if let Some(baseline) = result.remove("zero") {
        result.insert("baseline".to_owned(), baseline);
    }
    if let Some(mode) = result.get_mut("mode").filter(|mode| *mode == "zero") {
        *mode = json!("baseline");
    }
    let reasons = json.pointer_mut("/verdict/reasons");
    let reasons = reasons.and_then(Value::as_array_mut).into_iter().flatten();
    for reason in reasons.filter(|reason| reason["check"] == "zero_near") {
        reason["check"] = json!("near_baseline");
    }
}
