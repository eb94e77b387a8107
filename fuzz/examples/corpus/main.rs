//! Writes the seeds in `corpus/<target>`, from the project's own encoders, its tests' files and the tables of its protocols:
//! each as it should be, cut short, and lying. Files that are there for another reason stay.

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
        ("rpc_from_container", containers::said()),
        ("rpc_from_frontend", containers::told()),
        ("query", clients::said()),
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

/// A message as it is, behind what tells the target how to read it.
fn whole(name: &str, how: u8, frames: &Frames) -> (String, Vec<u8>) {
    (name.to_owned(), [&[how], &joined(frames)[..]].concat())
}

/// A message as it is, without its last frame, with the last one shorter than was said, and with a number that is far too
/// large.
fn message(name: &str, how: u8, frames: &Frames) -> Seeds {
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
        whole(name, how, frames),
        whole(&format!("{name}_fewer"), how, &fewer),
        whole(&format!("{name}_shorter"), how, &shorter),
        whole(&format!("{name}_larger"), how, &larger),
    ]
}

/// Bytes as they are, and the first half of them.
fn cut(name: &str, bytes: Vec<u8>) -> Seeds {
    let half = bytes[..bytes.len() / 2].to_vec();
    vec![(name.to_owned(), bytes), (format!("{name}_cut"), half)]
}
