//! `docker/compose.yaml` as in the README: it answers, also after a replica and the frontend have
//! died.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A separate project, on ports that the engine chooses. Dropping it removes it.
struct Compose {
    tool: &'static [&'static str],
    project: String,
}

impl Compose {
    fn up() -> Compose {
        let tools: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        let works = |tool: &&&[&str]| {
            let version = Command::new(tool[0])
                .args(&tool[1..])
                .arg("version")
                .output();
            version.is_ok_and(|output| output.status.success())
        };
        let tool = tools.iter().find(works);
        let compose = Compose {
            tool: tool.expect("neither `docker compose` nor docker-compose is installed"),
            project: format!("image-driver-test-{}", std::process::id()),
        };
        compose.run(&["up", "--detach"]);
        compose
    }

    fn run(&self, arguments: &[&str]) -> String {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/compose.yaml");
        let output = Command::new(self.tool[0])
            .args(&self.tool[1..])
            .args(["--project-name", &self.project, "--file"])
            .arg(file)
            .args(arguments)
            .env("QUERY_PORT", "0")
            .env("ADMIN_PORT", "0")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the process ids of a service's containers.
    fn pids(&self, service: &str) -> Vec<String> {
        let ids = self.run(&["ps", "--quiet", service]);
        let pid = |id| {
            let inspect = ["inspect", "--format", "{{.State.Pid}}", id];
            let output = Command::new("docker").args(inspect).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        ids.split_whitespace().map(pid).collect()
    }

    /// Posts to the frontend. Its port is read each time, because it changes with a restart.
    fn post(&self, port: &str, path: &str, body: &Value) -> Option<Value> {
        let address = self.run(&["port", "frontend", port]);
        let url = format!("http://{}/{path}", address.trim());
        let mut answer = ureq::post(&url).send_json(body).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn answers(&self) -> bool {
        let input = vec![0.5; 2048];
        let answer = self.post("1337", "pictures/predict", &json!({"input": input}));
        answer.is_some_and(|answer| answer["default"] == false)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

fn wait_until(description: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "not within a minute: {description}"
        );
        sleep(Duration::from_millis(100));
    }
}

/// Kills a process like a crash. `docker kill` would count as an intended stop.
///
/// The signal comes from a container, because the process may belong to another user.
fn kill(pid: &str) {
    let arguments = [
        "run",
        "--rm",
        "--pid",
        "host",
        "debian:bookworm-slim",
        "sh",
        "-c",
    ];
    let mut docker = Command::new("docker");
    let killed = docker
        .args(arguments)
        .arg(format!("kill -9 {pid}"))
        .status();
    assert!(killed.unwrap().success());
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn compose_services_recover_from_crashes_with_their_state() {
    let compose = Compose::up();
    let admin = |endpoint: &str, body: Value| {
        let path = format!("admin/{endpoint}");
        wait_until(endpoint, || compose.post("1338", &path, &body).is_some());
    };
    admin(
        "add_app",
        json!({"name": "pictures", "input_type": "floats", "default_output": "none", "latency_slo_micros": 1_000_000}),
    );
    admin(
        "add_model",
        json!({"model_name": "lgbm", "model_version": "1", "input_type": "floats", "labels": [], "container_name": "",
               "model_data_path": "", "batch_size": 32}),
    );
    admin(
        "add_model_links",
        json!({"app_name": "pictures", "model_names": ["lgbm"]}),
    );
    wait_until("queries are answered", || compose.answers());

    let replicas = compose.pids("model");
    assert_eq!(replicas.len(), 2);
    kill(&replicas[0]);
    assert!(compose.answers(), "the other replica answers");
    wait_until("the replica is restarted", || {
        let now = compose.pids("model");
        now.len() == 2 && !now.contains(&replicas[0]) && !now.contains(&"0".to_owned())
    });

    kill(&compose.pids("frontend")[0]);
    wait_until("queries are answered with the state in Redis", || {
        compose.answers()
    });
}
