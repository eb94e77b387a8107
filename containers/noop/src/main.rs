//! The noop model server.

use std::process::ExitCode;

use container::Server;
use model::DataType;

const SERVER: Server = Server {
    name: "noop",
    version: env!("CARGO_PKG_VERSION"),
    about: "Answers every input with one zero, at once: what frontend and RPC cost by themselves",
    input_type: DataType::Floats,
    artifact: None,
};

fn main() -> ExitCode {
    container::main(SERVER, |_, ()| Ok(noop::Noop))
}
