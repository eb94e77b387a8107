//! Where a report goes: documents to standard output, remarks to standard error.

use std::io::{self, Write, stderr, stdout};

use results::Folder;

use crate::error::Error;

/// Prints a whole document on standard output.
///
/// # Errors
/// Unless all of it is there or its reader has gone.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Judges what writing to standard output came to. A reader that closes its end early, as `head` does, has all that it
/// wants: that is no error, and what is left to do goes on.
///
/// # Errors
/// If standard output takes nothing, for instance because the disk is full.
pub fn printed(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Writes a line on standard error; nothing can be done if that is closed.
pub fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// The files of a folder that are no results, a line each.
pub(crate) fn left_out(folder: &Folder) -> Vec<String> {
    let left_out = folder.left_out.iter();
    left_out
        .map(|(file, reason)| format!("left out: {}: {reason}", file.display()))
        .collect()
}
