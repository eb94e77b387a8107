//! A model server under Clipper's older frontends: stand-ins in Python that speak the wire as those did, and our own.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    thread,
};

use container::{Server, Settings, Stop, serve};
use model::{Batch, DataType, InputError, Model, ModelInfo, Output, PredictError, Predictions};
use testkit::Script;

const SERVER: Server = Server {
    name: "m",
    version: "1",
    about: "a test",
    input_type: DataType::Floats,
    artifact: None,
};

/// Answers each input with itself, but fails on one without elements.
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

/// Lets a stand-in ask a mirror for every type, with the flags that its ports, in words, make.
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
        let (mut stop, told) = UnixStream::pair().unwrap();
        let stop_on = Stop::on_stream(told);
        let server = thread::spawn(move || serve(Mirror(data_type), &settings, stop_on));
        frontend.finish();
        stop.write_all(&[0]).unwrap();
        server.join().unwrap().unwrap();
    }
}

#[test]
fn a_model_server_serves_under_a_frontend_of_2017() {
    serve_every_type("frontend_2017.py", |ports| {
        vec!["--rpc_version=2017".into(), format!("--port={}", ports[0])]
    });
}

#[test]
fn a_model_server_serves_under_a_high_performance_frontend() {
    serve_every_type("frontend_highperf.py", |ports| {
        let (port, recv_port) = (
            format!("--port={}", ports[0]),
            format!("--recv_port={}", ports[1]),
        );
        vec!["--rpc_version=highperf".into(), port, recv_port]
    });
}
