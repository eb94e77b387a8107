//! The admin API over HTTP: what is asked, and every byte of the answer.
#![allow(clippy::unwrap_used, reason = "tests")]

use frontend::Frontend;
use model::DataType;
use testkit::{Peer, admin, settings};
use wire::rpc::{Metadata, NewContainer};

const APP: &str =
    r#"{"name":"app","input_type":"f","default_output":"-1.0","latency_slo_micros":500000}"#;
const LINK: &str = r#"{"app_name":"app","model_names":["m"]}"#;

fn model(name: &str, version: &str, input_type: &str) -> String {
    format!(
        r#"{{"model_name":"{name}","model_version":"{version}","labels":[],"input_type":"{input_type}","container_name":"x","model_data_path":"/x","batch_size":-1}}"#
    )
}

fn id(name: &str, version: &str) -> String {
    format!(r#"{{"model_name":"{name}","model_version":"{version}"}}"#)
}

/// One request after the other: endpoint, body, status and answer.
fn check(frontend: &Frontend, requests: &[(&str, &str, u16, &str)]) {
    for (endpoint, body, status, answer) in requests {
        let got = admin(frontend, endpoint, body);
        assert_eq!(got, (*status, (*answer).to_owned()), "{endpoint} {body}");
    }
}

fn register(frontend: &Frontend, version: &str) -> Peer {
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.register(&NewContainer {
        name: "m".into(),
        version: version.into(),
        input_type: DataType::Floats,
        metadata: Some(Metadata::default()),
    });
    peer
}

#[test]
fn changes_are_answered_in_clippers_words() {
    let frontend = Frontend::start(&settings()).unwrap();
    let none = r#"{"app_name":"app","model_names":[]}"#;
    let two = r#"{"app_name":"app","model_names":["m","m"]}"#;
    let other = r#"{"app_name":"app","model_names":["n"]}"#;
    let typed = "Model with name 'n' has incompatible input_type 'integers'. Requested app to link to has input_type 'floats'.";
    let version = "Model with name 'm' is already linked to app 'app' using input type 'floats'. The input type you provided for a new version of the model, 'integers', is not compatible.";
    let batch = model("m", "1", "f").replace("-1", "0");
    let label = model("m", "1", "f").replace("[]", r#"["a","b,c"]"#);
    check(
        &frontend,
        &[
            (
                "add_model_links",
                LINK,
                400,
                "No app with name 'app' exists.",
            ),
            (
                "delete_model_links",
                LINK,
                400,
                "No app with name app exists.",
            ),
            (
                "add_app",
                APP,
                200,
                "Successfully added application with name 'app'",
            ),
            ("add_app", APP, 400, "application 'app' already exists"),
            (
                "add_model_links",
                LINK,
                400,
                "No model with name 'm' exists.",
            ),
            (
                "set_model_version",
                &id("m", "1"),
                400,
                "Cannot set version for nonexistent model 'm'",
            ),
            (
                "add_model",
                &batch,
                400,
                "The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1",
            ),
            (
                "add_model",
                &model("m:n", "1", "f"),
                400,
                "Invalid model name supplied: m:n. Contains one of: ',', ':'",
            ),
            (
                "add_model",
                &model("m", "1,2", "f"),
                400,
                "Invalid model version supplied: 1,2. Contains one of: ',', ':'",
            ),
            (
                "add_model",
                &label,
                400,
                "Invalid label supplied: b,c. Contains one of: ',', ':'",
            ),
            (
                "add_model",
                &model("m", "1", "float"),
                200,
                "Successfully added model with name 'm' and input type 'floats'",
            ),
            (
                "add_model",
                &model("m", "1", "f"),
                400,
                "model with name 'm' and version '1' already exists",
            ),
            (
                "add_model",
                &model("n", "1", "ints"),
                200,
                "Successfully added model with name 'n' and input type 'integers'",
            ),
            (
                "add_model_links",
                none,
                400,
                "Please provide the name of the model that you want to link to the application 'app'",
            ),
            (
                "add_model_links",
                two,
                400,
                "Applications must be linked with at most one model. Attempted to add links to 2 models.",
            ),
            ("add_model_links", other, 400, typed),
            (
                "delete_model_links",
                LINK,
                400,
                "Cannot remove nonexistent link between app app and model m",
            ),
            (
                "add_model_links",
                LINK,
                200,
                "Successfully linked model with name 'm' to application 'app'",
            ),
            (
                "add_model_links",
                LINK,
                400,
                "The model with name 'm' is already linked to 'app'",
            ),
            (
                "add_model",
                &model("o", "1", "f"),
                200,
                "Successfully added model with name 'o' and input type 'floats'",
            ),
            (
                "add_model_links",
                &LINK.replace("\"m\"", "\"o\""),
                400,
                "A model with name m is already linked to 'app'.",
            ),
            ("add_model", &model("m", "2", "i"), 400, version),
            (
                "set_model_version",
                &id("m", "9"),
                400,
                "Cannot set non-existent version '9' for model with name 'm'",
            ),
            (
                "set_model_version",
                &id("m", "1"),
                200,
                "Successfully set model with name 'm' to version '1'",
            ),
            ("delete_model_links", LINK, 200, "Success!"),
            ("delete_model_links", none, 200, "Success!"),
            (
                "delete_versioned_model",
                &id("m", "1"),
                200,
                "Successfully deleted model with name 'm' and version '1'",
            ),
            (
                "delete_versioned_model",
                &id("m", "1"),
                400,
                "model with name 'm' and version '1' does not exist",
            ),
            (
                "delete_app",
                r#"{"name":"app"}"#,
                200,
                "Successfully deleted application with name 'app'",
            ),
            (
                "delete_app",
                r#"{"name":"app"}"#,
                400,
                "Application 'app' does not exist",
            ),
        ],
    );
}

#[test]
fn what_is_registered_is_told_in_clippers_objects() {
    let frontend = Frontend::start(&settings()).unwrap();
    let app = r#"{"input_type":"floats","default_output":"-1.0","latency_slo_micros":500000,"name":"app","linked_models":["m"]}"#;
    let old = r#"{"model_name":"m","model_version":"1","input_type":"floats","labels":[""],"container_name":"x","model_data_path":"/x","is_current_version":false}"#;
    let new = r#"{"model_name":"m","model_version":"2","input_type":"floats","labels":["a","b"],"container_name":"x","model_data_path":"/x","is_current_version":true}"#;
    let labelled = model("m", "2", "f").replace("[]", r#"["a","b"]"#);
    let (brief, verbose) = (r#"{"verbose":false}"#, r#"{"verbose":true}"#);
    let state = |app: &str| format!(r#"{{"app_name":"{app}","uid":7}}"#);
    check(
        &frontend,
        &[
            ("get_all_applications", verbose, 200, "[]"),
            ("get_all_models", brief, 200, "[]"),
            ("get_all_containers", verbose, 200, "[]"),
            (
                "add_app",
                APP,
                200,
                "Successfully added application with name 'app'",
            ),
            (
                "add_model",
                &model("m", "1", "f"),
                200,
                "Successfully added model with name 'm' and input type 'floats'",
            ),
            (
                "add_model",
                &labelled,
                200,
                "Successfully added model with name 'm' and input type 'floats'",
            ),
            (
                "add_model_links",
                LINK,
                200,
                "Successfully linked model with name 'm' to application 'app'",
            ),
            ("get_all_applications", brief, 200, r#"["app"]"#),
            ("get_all_applications", verbose, 200, &format!("[{app}]")),
            ("get_application", r#"{"name":"app"}"#, 200, app),
            ("get_application", r#"{"name":"none"}"#, 200, "{}"),
            (
                "get_linked_models",
                r#"{"app_name":"app"}"#,
                200,
                r#"["m"]"#,
            ),
            (
                "get_linked_models",
                r#"{"app_name":"none"}"#,
                400,
                "No application with name 'none' exists.",
            ),
            ("get_all_models", brief, 200, r#"["m:1","m:2"]"#),
            ("get_all_models", verbose, 200, &format!("[{old},{new}]")),
            ("get_model", &id("m", "2"), 200, new),
            ("get_model", &id("m", "3"), 200, "{}"),
            ("get_state", &state("app"), 200, "-1.0"),
            ("get_state", &state("none"), 200, ""),
        ],
    );
}

#[test]
fn replicas_are_told_whether_they_joined_before_or_after_their_model_was_added() {
    let frontend = Frontend::start(&settings()).unwrap();
    let _early = register(&frontend, "1");
    let added = "Successfully added model with name 'm' and input type 'floats'";
    check(
        &frontend,
        &[("add_model", &model("m", "1", "f"), 200, added)],
    );
    let _late = register(&frontend, "1");
    let container = |replica: u32| {
        format!(
            r#"{{"model_id":"m:1","model_name":"m","model_version":"1","model_replica_id":{replica},"input_type":"floats"}}"#
        )
    };
    let one = |replica: i32| {
        format!(r#"{{"model_name":"m","model_version":"1","replica_id":{replica}}}"#)
    };
    let both = format!("[{},{}]", container(0), container(1));
    check(
        &frontend,
        &[
            (
                "get_all_containers",
                r#"{"verbose":false}"#,
                200,
                r#"["m:1:0","m:1:1"]"#,
            ),
            ("get_all_containers", r#"{"verbose":true}"#, 200, &both),
            ("get_container", &one(1), 200, &container(1)),
            ("get_container", &one(2), 200, "{}"),
            ("get_container", &one(-1), 200, "{}"),
        ],
    );
    let gone = "Successfully deleted model with name 'm' and version '1'";
    check(
        &frontend,
        &[
            ("delete_versioned_model", &id("m", "1"), 200, gone),
            ("get_all_containers", r#"{"verbose":false}"#, 200, "[]"),
        ],
    );
}

#[test]
fn what_is_wrong_with_a_body_is_told_with_the_endpoints_schema() {
    let frontend = Frontend::start(&settings()).unwrap();
    let app = "\n  {\n   \"name\" := string,\n   \"input_type\" := \"integers\" | \"bytes\" | \"floats\" | \"doubles\" | \"strings\",\n   \"default_output\" := string,\n   \"latency_slo_micros\" := int\n  }\n";
    let version = "\n  {\n   \"model_name\" := string,\n   \"model_version\" := string,\n  }\n";
    let verbose = "\n  {\n    \"verbose\" := bool\n  }\n";
    let links = "\n  {\n    \"app_name\" := string,\n    \"model_names\" := [string]\n  }\n";
    let container = "\n  {\n    \"model_name\" := string,\n    \"model_version\" := string,\n    \"replica_id\" := int\n  }\n";
    let seven = APP.replace("500000", "0.5");
    let cases = [
        (
            "add_app",
            "",
            "JSON parse error: The document is empty. (offset 0)\n",
            app,
        ),
        (
            "add_app",
            "{",
            "JSON parse error: Missing a name for object member. (offset 1)\n",
            app,
        ),
        (
            "delete_app",
            "[]",
            "Can only get key-value pair from an object",
            app,
        ),
        (
            "delete_app",
            "{}",
            "JSON object does not have required key: name",
            app,
        ),
        (
            "add_app",
            r#"{"name":1}"#,
            "Type mismatch! JSON key name expected type Stringbut found type Number",
            app,
        ),
        (
            "add_app",
            &seven,
            "PredictionData of type Number is not of type int",
            app,
        ),
        (
            "set_model_version",
            r#"{"model_name":"m"}"#,
            "JSON object does not have required key: model_version",
            version,
        ),
        (
            "get_all_models",
            r#"{"verbose":1}"#,
            "Type mismatch! JSON key verbose expected type bool but found type Number",
            verbose,
        ),
        (
            "add_model_links",
            r#"{"app_name":"a","model_names":"m"}"#,
            "Type mismatch! JSON key model_names expected type Arraybut found type String",
            links,
        ),
        (
            "add_model_links",
            r#"{"app_name":"a","model_names":[null]}"#,
            "Array input of type Null is not of type string",
            links,
        ),
        (
            "get_container",
            r#"{"model_name":"m","model_version":"1","replica_id":4294967296}"#,
            "PredictionData of type Number is not of type int",
            container,
        ),
    ];
    for (endpoint, body, why, schema) in cases {
        let text = format!("Error parsing JSON: {why}. Expected JSON schema: {schema}");
        assert_eq!(
            admin(&frontend, endpoint, body),
            (400, text),
            "{endpoint} {body}"
        );
    }
    // Checked before what comes after it in the body.
    let wrong = r#"{"name":"app","input_type":"xx"}"#;
    check(
        &frontend,
        &[
            ("add_app", wrong, 400, "xx is not a valid input string"),
            (
                "add_model",
                &model("m", "1", "xx"),
                400,
                "xx is not a valid input string",
            ),
        ],
    );
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let first = Frontend::start(&settings()).unwrap();
    let mut second = settings();
    second.ports.rpc_service = first.ports().rpc_service_port;
    let error = format!("{:#}", Frontend::start(&second).unwrap_err());
    let port = first.ports().rpc_service_port;
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(error.contains("--rpc_service_port"), "{error}");
}
