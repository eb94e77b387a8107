//! inception in process: batches of pictures of 299x299 pixels, including reading of inputs and
//! writing of outputs.

fn main() -> Result<(), featurizer::Error> {
    benches::bench_featurizer(&inception::INCEPTION)
}
