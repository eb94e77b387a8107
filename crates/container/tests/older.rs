//! A model server under Clipper's older frontends, replaced by Python scripts with the same
//! protocol.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    thread,
};

use container::{ServerSettings, Settings, Stop, serve};
use model::{Batch, DataType, InputError, Model, ModelInfo, Output, PredictError, Predictions};
use testkit::Script;

const SERVER: ServerSettings = ServerSettings {
    name: "m",
    version: "1",
    about: "a test",
    input_type: DataType::Floats,
    artifact: None,
};

/// Returns each input as its output, but fails on an empty one.
struct Mirror(DataType);

impl Model for Mirror {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            output_type: self.0,
            ..ModelInfo::default()
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        assert_eq!(batch.data_type, self.0);
        let mirrored = batch.inputs.iter().map(|input| {
            if input.is_empty() {
                return Err(InputError("there is nothing".into()));
            }
            Output::read(batch.data_type, input)
        });
        Ok(mirrored.collect())
    }
}

/// Runs the script `frontend` against a mirror of every type; `flags` turns the ports that the
/// script prints into flags of the model server.
fn serve_every_type(frontend: &str, flags: impl Fn(&[&str]) -> Vec<String>) {
    for data_type in DataType::ALL {
        let mut frontend = Script::start(frontend, [data_type.name()]);
        let mut ports = String::new();
        BufReader::new(frontend.output())
            .read_line(&mut ports)
            .unwrap();
        let ports: Vec<_> = ports.split_whitespace().collect();
        let input_type = format!("--input_type={data_type}");
        let args = ["m".to_owned(), input_type]
            .into_iter()
            .chain(flags(&ports));
        let (settings, ()) = Settings::from_args(&SERVER, args).unwrap();
        let (mut stop, stopped) = UnixStream::pair().unwrap();
        let stop_on = Stop::on_stream(stopped);
        let server = thread::spawn(move || serve(Mirror(data_type), &settings, stop_on));
        frontend.finish();
        stop.write_all(&[0]).unwrap();
        server.join().unwrap().unwrap();
    }
}

#[test]
fn serves_under_a_2017_frontend() {
    serve_every_type("frontend_2017.py", |ports| {
        vec!["--rpc_version=2017".into(), format!("--port={}", ports[0])]
    });
}

#[test]
fn serves_under_a_high_performance_frontend() {
    serve_every_type("frontend_highperf.py", |ports| {
        let (port, recv_port) = (
            format!("--port={}", ports[0]),
            format!("--recv_port={}", ports[1]),
        );
        vec!["--rpc_version=highperf".into(), port, recv_port]
    });
}
