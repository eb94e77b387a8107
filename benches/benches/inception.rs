//! inception in process: batches of pictures of 299x299 pixels, reading them and writing answers included.

fn main() -> Result<(), featurizer::Error> {
    benches::bench_featurizer(&inception::INCEPTION)
}
