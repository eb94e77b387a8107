//! inception in process: batches of pictures of 299x299 pixels, preprocessing included.

use featurizer::Settings;
use model::DataType;

fn main() -> Result<(), featurizer::Error> {
    let settings = Settings {
        data_type: DataType::Floats,
        threads: benches::threads(),
        ..Settings::default()
    };
    let mut model = inception::load(&benches::artifact("inception.onnx"), settings)?;
    benches::bench_floats("inception", &mut model, 299 * 299 * 3, 255.0);
    Ok(())
}
