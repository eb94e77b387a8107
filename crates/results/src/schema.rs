//! JSON Schema of result files, as printed by `driver schema` and stored in `results.schema.json`.

use schemars::schema_for;

use crate::trial::Trial;

/// Returns the schema as indented JSON with a final line break.
pub fn schema() -> String {
    let schema = schema_for!(Trial);
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accurate, profiled, whole};
    use serde_json::{Value, json};
    use testkit::schema_errors;

    #[test]
    fn published_schema_is_current() {
        let published = include_str!("../results.schema.json");
        assert!(
            published == schema(),
            "write it again: cargo run --release -p driver -- schema > crates/results/results.schema.json"
        );
    }

    #[test]
    fn results_are_valid() {
        let results = [whole(), profiled(), accurate()];
        let results = results.map(|result| serde_json::to_value(result).unwrap());
        let errors = schema_errors(&schema(), &results);
        assert!(errors.iter().all(Vec::is_empty), "{errors:?}");
    }

    #[test]
    fn malformed_results_are_not_valid() {
        let whole = serde_json::to_value(whole()).unwrap();
        let changed = |pointer: &str, value: Value| {
            let mut json = whole.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            json
        };
        let wrong = [
            changed("/format", json!(1)),
            changed("/verdict/status", json!("FINE")),
            changed("/phases/0/totals/ok", json!(-1)),
            changed("/phases/0/kind", json!("pause")),
            changed("/node_configs/0/batch_size", json!("4")),
            json!({"client_metrics": {}, "clipper_metrics": {}, "node_configs": []}),
        ];
        let errors = schema_errors(&schema(), &wrong);
        assert!(errors.iter().all(|errors| !errors.is_empty()), "{errors:?}");
    }
}
