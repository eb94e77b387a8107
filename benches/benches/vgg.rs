//! vgg in process: batches of pictures of 224x224 pixels, including reading of inputs and writing
//! of outputs.

fn main() -> Result<(), featurizer::Error> {
    benches::bench_featurizer(&vgg::VGG)
}
