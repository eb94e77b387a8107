//! Whether a model server is registered, for whoever sees its process: its socket's thread is called so.
//!
//! This needs no port, no file and no other thread: it works in any network and on a read-only file system, and `ps -T` shows it.

use std::{ffi::CStr, fs, path::Path};

use crate::error::Error;

/// The name of the thread while the frontend knows the server.
const REGISTERED: &CStr = c"registered";
/// Its name at all other times.
const CONNECTING: &CStr = c"connecting";

/// Names the calling thread after what is true of its socket.
pub(crate) fn tell(registered: bool) {
    let name = if registered { REGISTERED } else { CONNECTING };
    // It fails only for names that are too long.
    let _ = rustix::thread::set_name(name);
}

/// An error unless the model server with this process id is registered at its frontend.
pub(crate) fn check(pid: u32) -> Result<(), Error> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.map_err(Error::system(format!(
        "cannot see the threads of process {pid}"
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
