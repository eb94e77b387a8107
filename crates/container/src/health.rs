//! Health check: the name of the session's thread shows whether the model server is registered.
//!
//! A thread name needs no port, no file and no further thread, so it works in any network and on a
//! read-only file system; `ps -T` shows it.

use std::{ffi::CStr, fs, path::Path};

use crate::error::Error;

/// Name of the thread while the server is registered at the frontend.
const REGISTERED: &CStr = c"registered";
/// Name of the thread at all other times.
const CONNECTING: &CStr = c"connecting";

/// Renames the calling thread to publish the registration state.
pub(crate) fn publish(registered: bool) {
    let name = if registered { REGISTERED } else { CONNECTING };
    // Fails only for names longer than 15 bytes.
    let _ = rustix::thread::set_name(name);
}

/// Succeeds if the model server with process id `pid` is registered at its frontend.
pub(crate) fn check(pid: u32) -> Result<(), Error> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.map_err(Error::system(format!(
        "cannot list the threads of process {pid}"
    )))?;
    let is_registered = |thread: &Path| {
        let name = fs::read(thread.join("comm")).unwrap_or_default();
        name.trim_ascii_end() == REGISTERED.to_bytes()
    };
    match threads.flatten().any(|entry| is_registered(&entry.path())) {
        true => Ok(()),
        false => Err(Error::NotRegistered(pid)),
    }
}
