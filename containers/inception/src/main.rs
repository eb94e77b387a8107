//! The inception model server.

use std::process::ExitCode;

use model::DataType;
use picture_server::ServerSettings;

const SERVER: ServerSettings = ServerSettings {
    name: "inception",
    version: env!("CARGO_PKG_VERSION"),
    about: "Inception V3: 2,048 pooled features from a JPEG or PNG picture",
    input_type: DataType::Strings,
    artifact: Some("inception.onnx"),
};

fn main() -> ExitCode {
    picture_server::main(SERVER, &inception::INCEPTION)
}
