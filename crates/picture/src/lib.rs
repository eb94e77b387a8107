//! JPEG and PNG files to pixels, for everything here that reads pictures: what one of them refuses, all do.
//!
//! A file that ends before its picture does is an error, as in Pillow. The decoder by itself fills the missing part of
//! a JPEG picture with grey.

use std::io::{Cursor, ErrorKind};

use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};
use memchr::memchr;

/// Bytes of a picture per byte of its file, at most: deflate makes 1,032 out of one, with eight pixels in each.
const MOST_PER_BYTE: u64 = 8 * 1_032;

/// Bytes that a decoder may take however short the file is: for itself, and for a small picture.
const FEWEST_BYTES: u64 = 1 << 20;

/// What a file is, if it cannot be read: `"{file} is {error}"` is the sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file ends before the picture does.
    #[error("truncated: the file ends before the picture does")]
    Truncated,
    /// It is of another format, damaged, or larger than is decoded here.
    #[error("not a JPEG or PNG picture: {0}")]
    NotAPicture(ImageError),
}

/// Decodes a JPEG or PNG file.
///
/// # Errors
/// If the file is truncated or not a picture, or if the picture would take more than 512 MiB or more than a file of its
/// length can hold.
pub fn decode(file: &[u8]) -> Result<DynamicImage, Error> {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    let mut reader = reader.map_err(|error| of_decoder(ImageError::IoError(error)))?;
    if reader.format() == Some(ImageFormat::Jpeg) && !has_end(file) {
        return Err(Error::Truncated);
    }
    let mut limits = Limits::default();
    let honest = FEWEST_BYTES + MOST_PER_BYTE * file.len() as u64;
    limits.max_alloc = limits.max_alloc.map(|most| most.min(honest));
    reader.limits(limits);
    reader.decode().map_err(of_decoder)
}

fn of_decoder(error: ImageError) -> Error {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Error::Truncated,
        error => Error::NotAPicture(error),
    }
}

/// Whether a JPEG file has its end-of-image marker. One inside of a segment, such as that of a thumbnail, is not it.
///
/// Every marker is looked at: in a progressive file the picture goes on after a scan.
fn has_end(file: &[u8]) -> bool {
    let mut rest = file;
    while let Some(at) = memchr(0xff, rest) {
        rest = &rest[at + 1..];
        match rest {
            [0xd9, ..] => return true,
            // A byte 255 of the picture, fill bytes, and the markers without a segment.
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
