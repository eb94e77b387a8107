//! The noop model server.

use std::process::ExitCode;

use container::ServerSettings;
use model::DataType;

const SERVER: ServerSettings = ServerSettings {
    name: "noop",
    version: env!("CARGO_PKG_VERSION"),
    about: "No-op model: returns one zero for every input, to measure the cost of frontend and RPC alone",
    input_type: DataType::Floats,
    artifact: None,
};

fn main() -> ExitCode {
    container::main(SERVER, |_, ()| Ok(noop::Noop))
}
