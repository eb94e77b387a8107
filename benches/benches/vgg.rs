//! vgg in process: batches of pictures of 224x224 pixels, preprocessing included.

use featurizer::Settings;
use model::DataType;

fn main() -> Result<(), featurizer::Error> {
    let settings = Settings {
        data_type: DataType::Floats,
        threads: benches::threads(),
        ..Settings::default()
    };
    let mut model = vgg::load(&benches::artifact("vgg.onnx"), settings)?;
    benches::bench_floats("vgg", &mut model, 224 * 224 * 3, 255.0);
    Ok(())
}
