//! Files truncated at every byte, compared with Pillow.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use picture::{Error, decode};

/// A file made by `reference.py`, and the shortest prefixes of it that are readable, in bytes.
struct Cut {
    file: &'static str,
    /// Length of the whole file.
    length: usize,
    /// Shortest prefix that Pillow 13.0.0 reads.
    pillow: usize,
    /// Shortest prefix that [`decode`] reads.
    ours: usize,
}

const fn cut(file: &'static str, length: usize, pillow: usize, ours: usize) -> Cut {
    Cut {
        file,
        length,
        pillow,
        ours,
    }
}

/// Pillow needs only the pixels of a PNG file. Ours also needs the checksum after them and the name
/// of the last chunk.
const CUTS: [Cut; 9] = [
    cut("baseline.jpg", 1207, 1207, 1207),
    cut("restarts.jpg", 1423, 1423, 1423),
    cut("grey.jpg", 821, 821, 821),
    cut("thumbnail.jpg", 1894, 1894, 1894),
    cut("progressive.jpg", 1154, 1154, 1154),
    cut("grey_progressive.jpg", 810, 810, 810),
    cut("plain.png", 4912, 4891, 4908),
    cut("palette.png", 2427, 2405, 2423),
    cut("interlaced.png", 6509, 6488, 6505),
];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn a_file_cut_anywhere_is_whole_or_an_error() {
    for cut in CUTS {
        let file = file(cut.file);
        assert_eq!(file.len(), cut.length, "{}", cut.file);
        assert!(cut.ours >= cut.pillow);
        let whole = decode(&file).unwrap();
        for length in 0..file.len() {
            let at = format!("{} cut to {length} bytes", cut.file);
            match decode(&file[..length]) {
                Ok(picture) => assert!(length >= cut.ours && picture == whole, "{at}"),
                Err(_) => assert!(length < cut.ours, "{at}"),
            }
        }
    }
}

#[test]
fn truncated_files_are_reported_as_truncated() {
    for cut in CUTS {
        let file = file(cut.file);
        for length in [file.len() / 2, cut.ours - 1] {
            let error = decode(&file[..length]).unwrap_err();
            assert!(matches!(error, Error::Truncated), "{}: {error}", cut.file);
        }
    }
}

/// As in Pillow.
#[test]
fn trailing_bytes_are_ignored() {
    for cut in CUTS {
        let whole = decode(&file(cut.file)).unwrap();
        for tail in [&[0; 9][..], b"\xff\xd8\xff", b"garbage"] {
            let file = [&file(cut.file), tail].concat();
            assert!(decode(&file).unwrap() == whole, "{} + {tail:?}", cut.file);
        }
    }
}

#[test]
fn fill_bytes_before_the_end_are_allowed() {
    for name in ["baseline.jpg", "progressive.jpg"] {
        let whole = file(name);
        let filled = [&whole[..whole.len() - 2], b"\xff\xff\xff\xd9"].concat();
        assert!(decode(&filled).unwrap() == decode(&whole).unwrap());
    }
}

/// Pillow reads a baseline picture whose end is replaced by zeros; we do not.
#[test]
fn zeros_do_not_replace_the_end_marker() {
    for name in ["baseline.jpg", "progressive.jpg"] {
        let whole = file(name);
        for length in [whole.len() - 2, whole.len() - 100] {
            let padded = [&whole[..length], &[0; 200]].concat();
            let error = decode(&padded).unwrap_err();
            assert!(matches!(error, Error::Truncated), "{name}: {error}");
        }
    }
}

#[test]
fn files_of_other_formats_are_not_reported_as_truncated() {
    for bytes in [&b"hello"[..], b"", b"GIF89a", &[0xff; 9]] {
        let error = decode(bytes).unwrap_err();
        assert!(matches!(error, Error::NotAPicture(_)), "{bytes:?}: {error}");
    }
}

#[test]
fn files_that_need_too_much_memory_are_refused() {
    let mut file = file("baseline.jpg");
    // The frame header: its length, 8 bits per sample, height and width.
    let header = file.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    file[header + 5..][..4].copy_from_slice(&[0x3e, 0x80, 0x3e, 0x80]);
    let error = decode(&file).unwrap_err().to_string();
    assert!(error.contains("Memory limit exceeded"), "{error}");
}
