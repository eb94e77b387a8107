//! Decodes JPEG and PNG files. Every crate that reads pictures uses this decoder, so that all of
//! them reject the same files.
//!
//! A truncated file is an error, as in Pillow. The underlying decoder would fill the missing part
//! of a JPEG picture with grey.

use std::io::{Cursor, ErrorKind};

use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};
use memchr::memchr;

/// Most bytes of pixels per byte of a file: deflate expands 1 byte to 1,032, each with eight
/// pixels.
const MAX_EXPANSION: u64 = 8 * 1_032;

/// Memory in bytes allowed for a file of any length, for the decoder itself and a small picture.
const BASE_MEMORY: u64 = 1 << 20;

/// Reason why a file cannot be decoded. The text completes the sentence "FILE is ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file ends before the picture does.
    #[error("truncated: the file ends before the picture does")]
    Truncated,
    /// The file has another format, is damaged, or exceeds the memory limit.
    #[error("not a JPEG or PNG picture: {0}")]
    NotAPicture(ImageError),
}

/// Decodes a JPEG or PNG file.
///
/// # Errors
/// If the file is truncated or not a picture, or if the picture needs more than 512 MiB or more
/// than a file of its length can hold.
pub fn decode(file: &[u8]) -> Result<DynamicImage, Error> {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    let mut reader = reader.map_err(|error| decoder_error(ImageError::IoError(error)))?;
    if reader.format() == Some(ImageFormat::Jpeg) && !has_end(file) {
        return Err(Error::Truncated);
    }
    let mut limits = Limits::default();
    let plausible = BASE_MEMORY + MAX_EXPANSION * file.len() as u64;
    limits.max_alloc = limits.max_alloc.map(|max| max.min(plausible));
    reader.limits(limits);
    reader.decode().map_err(decoder_error)
}

fn decoder_error(error: ImageError) -> Error {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Error::Truncated,
        error => Error::NotAPicture(error),
    }
}

/// Returns whether a JPEG file has its end-of-image marker. Markers inside a segment, such as a
/// thumbnail's, do not count.
///
/// The search visits every marker, because a progressive file has data after its first scan.
fn has_end(file: &[u8]) -> bool {
    let mut rest = file;
    while let Some(at) = memchr(0xff, rest) {
        rest = &rest[at + 1..];
        match rest {
            [0xd9, ..] => return true,
            // An escaped byte 255, a fill byte, or a marker without a segment.
            [0x00 | 0x01 | 0xd0..=0xd8 | 0xff, ..] => {}
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(1 + length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}
