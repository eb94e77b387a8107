//! The vgg model server.

use std::process::ExitCode;

use model::DataType;
use picture_server::ServerSettings;

const SERVER: ServerSettings = ServerSettings {
    name: "vgg",
    version: env!("CARGO_PKG_VERSION"),
    about: "VGG-16: 4,096 features (fc7 after its ReLU) from a picture of 224x224 pixels",
    input_type: DataType::Floats,
    artifact: Some("vgg.onnx"),
};

fn main() -> ExitCode {
    picture_server::main(SERVER, &vgg::VGG)
}
