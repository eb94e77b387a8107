//! Writes seeds to `corpus/<target>`: valid, truncated, and with false lengths.
//!
//! The sources are the project's encoders, its tests' files and its protocol tables. Other files in
//! the corpus remain.

mod bodies;
mod clients;
mod containers;
mod files;

use std::{fs, path::Path};

use fuzz::{Frames, joined};

/// Seeds of one target, by name.
type Seeds = Vec<(String, Vec<u8>)>;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("rpc_from_container", containers::to_frontend()),
        ("rpc_from_frontend", containers::to_container()),
        ("query", clients::messages()),
        ("rest", bodies::predict()),
        ("oip", bodies::infer()),
        ("admin", bodies::admin()),
        ("artifact", files::artifacts()),
        ("svm", files::svm()),
        ("lgbm", files::lgbm()),
        ("pictures", files::pictures()),
        ("results", files::results()),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

/// Returns a valid message, after the byte that selects the target's decoder.
fn whole(name: &str, decoder: u8, frames: &Frames) -> (String, Vec<u8>) {
    (name.to_owned(), [&[decoder], &joined(frames)[..]].concat())
}

/// Returns a valid message, and variants: without the last frame, with a shorter last frame, and
/// with a number that is far too large.
fn message(name: &str, decoder: u8, frames: &Frames) -> Seeds {
    let mut fewer = frames.clone();
    fewer.pop();
    let mut shorter = frames.clone();
    if let Some(last) = shorter.last_mut() {
        last.pop();
    }
    let mut larger = frames.clone();
    if let Some(number) = larger.iter_mut().skip(2).find(|f| f.len() >= 8) {
        number[..8].copy_from_slice(&[0xff; 8]);
    }
    vec![
        whole(name, decoder, frames),
        whole(&format!("{name}_fewer"), decoder, &fewer),
        whole(&format!("{name}_shorter"), decoder, &shorter),
        whole(&format!("{name}_larger"), decoder, &larger),
    ]
}

/// Returns `bytes`, and the first half of them.
fn with_truncated(name: &str, bytes: Vec<u8>) -> Seeds {
    let half = bytes[..bytes.len() / 2].to_vec();
    vec![(name.to_owned(), bytes), (format!("{name}_cut"), half)]
}
