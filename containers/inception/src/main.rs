//! The inception model server.

use std::process::ExitCode;

use model::DataType;
use picture_server::Server;

const SERVER: Server = Server {
    name: "inception",
    version: env!("CARGO_PKG_VERSION"),
    about: "Inception V3: 2,048 pooled features of a JPEG or PNG picture",
    input_type: DataType::Strings,
    artifact: Some("inception.onnx"),
};

fn main() -> ExitCode {
    picture_server::main(SERVER, &inception::INCEPTION)
}
