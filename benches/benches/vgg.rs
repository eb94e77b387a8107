//! vgg in process: batches of pictures of 224x224 pixels, preprocessing included.

use featurizer::Settings;
use model::{DataType, Device};

fn main() -> Result<(), featurizer::Error> {
    let settings = Settings {
        data_type: DataType::Floats,
        device: Device::Cpu,
        threads: benches::threads(),
        artifact: None,
    };
    let mut model = vgg::load(&benches::artifact("vgg.onnx"), settings)?;
    benches::bench_floats("vgg", &mut model, 224 * 224 * 3, 255.0);
    Ok(())
}
