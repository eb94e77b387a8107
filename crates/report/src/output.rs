//! Output of a report: documents go to standard output, remarks to standard error.

use std::io::{self, Write, stderr, stdout};

use results::Folder;

use crate::error::Error;

/// Prints a whole document on standard output.
///
/// # Errors
/// If standard output cannot be written; a reader that closed its end is no error.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    check_written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Returns the error of a write to standard output. A reader that closes its end early, as `head`
/// does, has all the output that it needs: that is no error.
///
/// # Errors
/// If standard output cannot be written, for instance because the disk is full.
pub fn check_written(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Writes a line on standard error; a closed standard error is ignored.
pub fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Returns a line for each file of a folder that is not a result.
pub(crate) fn left_out(folder: &Folder) -> Vec<String> {
    let left_out = folder.left_out.iter();
    left_out
        .map(|(file, reason)| format!("left out: {}: {reason}", file.display()))
        .collect()
}
