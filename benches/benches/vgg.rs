//! vgg in process: batches of pictures of 224x224 pixels, reading them and writing answers included.

fn main() -> Result<(), featurizer::Error> {
    benches::bench_featurizer(&vgg::VGG)
}
