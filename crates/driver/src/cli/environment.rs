//! What the environment may say of a sweep, and what not.

use std::ffi::OsString;

use crate::error::Error;

/// Refuses variables of Clipper's containers that say something the replicas would not be told: what is measured is
/// what the command line says.
///
/// # Errors
/// If there is one; it is named.
pub fn check_environment(names: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    const READ: [&str; 4] = [
        "CLIPPER_ENGINE",
        "CLIPPER_GPU_MEM_FRAC",
        "CLIPPER_INPUT_TYPE",
        "CLIPPER_MODEL_PATH",
    ];
    let unread = |name: &String| name.starts_with("CLIPPER_") && !READ.contains(&name.as_str());
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    match names.into_iter().find(unread) {
        None => Ok(()),
        Some(name) => Err(Error::Usage(format!(
            "{name} is set, and replicas would not hear of it: unset it, and say what you want with a flag, or in the \
             metadata file beside the artifact"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_replicas_would_not_hear_of_is_refused() {
        let check = |names: &[&str]| check_environment(names.iter().map(OsString::from));
        assert!(check(&["HOME", "CLIPPER_ENGINE", "CLIPPER_MODEL_PATH"]).is_ok());
        let error = check(&["HOME", "CLIPPER_DEVICE"]).unwrap_err().to_string();
        assert!(error.contains("CLIPPER_DEVICE is set"), "{error}");
    }
}
