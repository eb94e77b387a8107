//! The admin API over HTTP: requests, and every byte of the answers.
#![allow(clippy::unwrap_used, reason = "tests")]

use frontend::Frontend;
use model::DataType;
use testkit::{Peer, admin, settings};
use wire::rpc::{Metadata, NewContainer};

const APP: &str =
    r#"{"name":"app","input_type":"f","default_output":"-1.0","latency_slo_micros":500000}"#;

const MODEL: &str = r#"{"model_name":"m","model_version":"1","labels":[],"input_type":"f","container_name":"x","model_data_path":"/x","batch_size":-1}"#;

/// Sends requests and checks the answers. Lines of `exchanges` alternate: endpoint and body, then
/// status and answer.
///
/// `ADD key=value ..` stands for the body of an application (with `name`) or a model with these
/// values.
fn check_exchanges(frontend: &Frontend, exchanges: &str) {
    let lines: Vec<&str> = exchanges.trim().lines().map(str::trim).collect();
    for pair in lines.chunks(2) {
        let (endpoint, body) = pair[0].split_once(' ').unwrap();
        let (status, answer) = pair[1].split_once(' ').unwrap_or((pair[1], ""));
        let actual = admin(frontend, endpoint, &expand(body));
        let expected = (status.parse().unwrap(), answer.to_owned());
        assert_eq!(actual, expected, "{}", pair[0]);
    }
}

fn expand(body: &str) -> String {
    let Some(changes) = body.strip_prefix("ADD") else {
        return body.to_owned();
    };
    let template = if changes.contains(" name=") {
        APP
    } else {
        MODEL
    };
    let mut body: serde_json::Value = serde_json::from_str(template).unwrap();
    for change in changes.split_whitespace() {
        let (key, value) = change.split_once('=').unwrap();
        body[key] = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
    body.to_string()
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
fn changes_are_answered_with_clippers_texts() {
    let frontend = Frontend::start(&settings()).unwrap();
    check_exchanges(
        &frontend,
        r#"
        add_model_links {"app_name":"app","model_names":["m"]}
        400 No app with name 'app' exists.
        delete_model_links {"app_name":"app","model_names":["m"]}
        400 No app with name app exists.
        add_app ADD name=app
        200 Successfully added application with name 'app'
        add_app ADD name=app input_type=i
        400 application 'app' already exists
        add_model_links {"app_name":"app","model_names":["m"]}
        400 No model with name 'm' exists.
        set_model_version {"model_name":"m","model_version":"1"}
        400 Cannot set version for nonexistent model 'm'
        add_model ADD batch_size=0 model_name=m:n
        400 The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1
        add_model ADD model_name=m:n model_version="1,2"
        400 Invalid model name supplied: m:n. Contains one of: ',', ':'
        add_model ADD model_version="1,2" labels=["a","b,c"]
        400 Invalid model version supplied: 1,2. Contains one of: ',', ':'
        add_model ADD labels=["a","b,c"]
        400 Invalid label supplied: b,c. Contains one of: ',', ':'
        add_model ADD input_type=float
        200 Successfully added model with name 'm' and input type 'floats'
        add_model ADD input_type=i
        400 model with name 'm' and version '1' already exists
        add_model ADD model_name=n input_type=ints
        200 Successfully added model with name 'n' and input type 'integers'
        add_model_links {"app_name":"app","model_names":[]}
        400 Please provide the name of the model that you want to link to the application 'app'
        add_model_links {"app_name":"app","model_names":["m","m"]}
        400 Applications must be linked with at most one model. Attempted to add links to 2 models.
        add_model_links {"app_name":"app","model_names":["n"]}
        400 Model with name 'n' has incompatible input_type 'integers'. Requested app to link to has input_type 'floats'.
        delete_model_links {"app_name":"app","model_names":["m"]}
        400 Cannot remove nonexistent link between app app and model m
        add_model_links {"app_name":"app","model_names":["m"]}
        200 Successfully linked model with name 'm' to application 'app'
        add_model_links {"app_name":"app","model_names":["m"]}
        400 The model with name 'm' is already linked to 'app'
        add_model ADD model_name=o
        200 Successfully added model with name 'o' and input type 'floats'
        add_model_links {"app_name":"app","model_names":["o"]}
        400 A model with name m is already linked to 'app'.
        add_model ADD model_version="2" input_type=i
        400 Model with name 'm' is already linked to app 'app' using input type 'floats'. The input type you provided for a new version of the model, 'integers', is not compatible.
        "#,
    );
}

#[test]
fn version_changes_and_deletions_have_clippers_texts() {
    let frontend = Frontend::start(&settings()).unwrap();
    check_exchanges(
        &frontend,
        r#"
        add_app ADD name=app
        200 Successfully added application with name 'app'
        add_model ADD
        200 Successfully added model with name 'm' and input type 'floats'
        add_model ADD model_version="2"
        200 Successfully added model with name 'm' and input type 'floats'
        add_model_links {"app_name":"app","model_names":["m"]}
        200 Successfully linked model with name 'm' to application 'app'
        set_model_version {"model_name":"m","model_version":"9"}
        400 Cannot set non-existent version '9' for model with name 'm'
        set_model_version {"model_name":"m","model_version":"1"}
        200 Successfully set model with name 'm' to version '1'
        delete_model_links {"app_name":"app","model_names":["m"]}
        200 Success!
        delete_model_links {"app_name":"app","model_names":[]}
        200 Success!
        delete_versioned_model {"model_name":"m","model_version":"1"}
        200 Successfully deleted model with name 'm' and version '1'
        delete_versioned_model {"model_name":"m","model_version":"1"}
        400 model with name 'm' and version '1' does not exist
        add_model_links {"app_name":"app","model_names":["m"]}
        400 Model with name 'm' has incompatible input_type ''. Requested app to link to has input_type 'floats'.
        set_model_version {"model_name":"m","model_version":"2"}
        200 Successfully set model with name 'm' to version '2'
        add_model_links {"app_name":"app","model_names":["m"]}
        200 Successfully linked model with name 'm' to application 'app'
        delete_app {"name":"app"}
        200 Successfully deleted application with name 'app'
        delete_app {"name":"app"}
        400 Application 'app' does not exist
        add_app ADD name=app input_type=i
        200 Successfully added application with name 'app'
        get_linked_models {"app_name":"app"}
        200 []
        "#,
    );
}

#[test]
fn listings_are_clippers_objects() {
    let frontend = Frontend::start(&settings()).unwrap();
    check_exchanges(
        &frontend,
        r#"
        get_all_applications {"verbose":true}
        200 []
        get_all_models {"verbose":false}
        200 []
        get_all_containers {"verbose":true}
        200 []
        add_app ADD name=app
        200 Successfully added application with name 'app'
        add_model ADD
        200 Successfully added model with name 'm' and input type 'floats'
        add_model ADD model_version="2" labels=["a","b"]
        200 Successfully added model with name 'm' and input type 'floats'
        add_model_links {"app_name":"app","model_names":["m"]}
        200 Successfully linked model with name 'm' to application 'app'
        get_all_applications {"verbose":false}
        200 ["app"]
        get_all_applications {"verbose":true}
        200 [{"input_type":"floats","default_output":"-1.0","latency_slo_micros":500000,"name":"app","linked_models":["m"]}]
        get_application {"name":"app"}
        200 {"input_type":"floats","default_output":"-1.0","latency_slo_micros":500000,"name":"app","linked_models":["m"]}
        get_application {"name":"none"}
        200 {}
        get_linked_models {"app_name":"app"}
        200 ["m"]
        get_linked_models {"app_name":"none"}
        400 No application with name 'none' exists.
        get_all_models {"verbose":false}
        200 ["m:1","m:2"]
        get_all_models {"verbose":true}
        200 [{"model_name":"m","model_version":"1","input_type":"floats","labels":[""],"container_name":"x","model_data_path":"/x","is_current_version":false},{"model_name":"m","model_version":"2","input_type":"floats","labels":["a","b"],"container_name":"x","model_data_path":"/x","is_current_version":true}]
        get_model {"model_name":"m","model_version":"2"}
        200 {"model_name":"m","model_version":"2","input_type":"floats","labels":["a","b"],"container_name":"x","model_data_path":"/x","is_current_version":true}
        get_model {"model_name":"m","model_version":"3"}
        200 {}
        get_state {"app_name":"app","uid":7}
        200 -1.0
        get_state {"app_name":"none","uid":0}
        200
        "#,
    );
}

#[test]
fn replicas_are_listed_whether_early_or_late() {
    let frontend = Frontend::start(&settings()).unwrap();
    let _early = register(&frontend, "1");
    check_exchanges(
        &frontend,
        "
        add_model ADD
        200 Successfully added model with name 'm' and input type 'floats'
        ",
    );
    let _late = register(&frontend, "1");
    check_exchanges(
        &frontend,
        r#"
        get_all_containers {"verbose":false}
        200 ["m:1:0","m:1:1"]
        get_all_containers {"verbose":true}
        200 [{"model_id":"m:1","model_name":"m","model_version":"1","model_replica_id":0,"input_type":"floats"},{"model_id":"m:1","model_name":"m","model_version":"1","model_replica_id":1,"input_type":"floats"}]
        get_container {"model_name":"m","model_version":"1","replica_id":1}
        200 {"model_id":"m:1","model_name":"m","model_version":"1","model_replica_id":1,"input_type":"floats"}
        get_container {"model_name":"m","model_version":"1","replica_id":2}
        200 {}
        get_container {"model_name":"m","model_version":"1","replica_id":-1}
        200 {}
        delete_versioned_model {"model_name":"m","model_version":"1"}
        200 Successfully deleted model with name 'm' and version '1'
        get_all_containers {"verbose":false}
        200 []
        "#,
    );
}

const APP_SCHEMA: &str = r#"
  {
   "name" := string,
   "input_type" := "integers" | "bytes" | "floats" | "doubles" | "strings",
   "default_output" := string,
   "latency_slo_micros" := int
  }
"#;

const VERSION_SCHEMA: &str = r#"
  {
   "model_name" := string,
   "model_version" := string,
  }
"#;

const LINKS_SCHEMA: &str = r#"
  {
    "app_name" := string,
    "model_names" := [string]
  }
"#;

const VERBOSE_SCHEMA: &str = r#"
  {
    "verbose" := bool
  }
"#;

const CONTAINER_SCHEMA: &str = r#"
  {
    "model_name" := string,
    "model_version" := string,
    "replica_id" := int
  }
"#;

#[test]
fn errors_of_a_body_include_the_endpoints_schema() {
    let frontend = Frontend::start(&settings()).unwrap();
    let cases = r#"
        delete_app []
        Can only get key-value pair from an object
        delete_app {}
        JSON object does not have required key: name
        add_app {"name":1}
        Type mismatch! JSON key name expected type Stringbut found type Number
        add_app ADD name=app latency_slo_micros=0.5
        PredictionData of type Number is not of type int
        set_model_version {"model_name":"m"}
        JSON object does not have required key: model_version
        get_all_models {"verbose":1}
        Type mismatch! JSON key verbose expected type bool but found type Number
        add_model_links {"app_name":"a","model_names":"m"}
        Type mismatch! JSON key model_names expected type Arraybut found type String
        add_model_links {"app_name":"a","model_names":[null]}
        Array input of type Null is not of type string
        get_container {"model_name":"m","model_version":"1","replica_id":4294967296}
        PredictionData of type Number is not of type int
    "#;
    let check = |endpoint: &str, body: &str, cause: &str| {
        let schema = match endpoint {
            "add_app" | "delete_app" => APP_SCHEMA,
            "set_model_version" => VERSION_SCHEMA,
            "get_all_models" => VERBOSE_SCHEMA,
            "add_model_links" => LINKS_SCHEMA,
            _ => CONTAINER_SCHEMA,
        };
        let text = format!("Error parsing JSON: {cause}. Expected JSON schema: {schema}");
        assert_eq!(admin(&frontend, endpoint, body), (400, text), "{body}");
    };
    let lines: Vec<&str> = cases.trim().lines().map(str::trim).collect();
    for pair in lines.chunks(2) {
        let (endpoint, body) = pair[0].split_once(' ').unwrap();
        check(endpoint, &expand(body), pair[1]);
    }
    let empty = "JSON parse error: The document is empty. (offset 0)\n";
    check("add_app", "", empty);
    let open = "JSON parse error: Missing a name for object member. (offset 1)\n";
    check("set_model_version", "{", open);
    // Clipper checks the input type before the values that follow it.
    check_exchanges(
        &frontend,
        r#"
        add_app {"name":"app","input_type":"xx"}
        400 xx is not a valid input string
        add_model ADD input_type=xx batch_size=0
        400 xx is not a valid input string
        "#,
    );
}

#[test]
fn a_port_in_use_is_reported_with_its_flag() {
    let first = Frontend::start(&settings()).unwrap();
    let mut second = settings();
    second.ports.rpc_service = first.ports().rpc_service_port;
    let error = format!("{:#}", Frontend::start(&second).unwrap_err());
    let port = first.ports().rpc_service_port;
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(error.contains("--rpc_service_port"), "{error}");
}
