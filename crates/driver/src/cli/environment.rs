//! Checks the environment variables of a sweep.

use std::ffi::OsString;

use crate::error::Error;

/// Refuses `CLIPPER_` variables that the driver does not pass on to the replicas: the settings of a sweep come from
/// its command line.
///
/// # Errors
/// If such a variable is set; the error names it.
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
            "{name} is set, but is not passed on to the replicas; unset it, and use a flag or the metadata file beside \
             the artifact"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_variables_that_do_not_reach_the_replicas() {
        let check = |names: &[&str]| check_environment(names.iter().map(OsString::from));
        assert!(check(&["HOME", "CLIPPER_ENGINE", "CLIPPER_MODEL_PATH"]).is_ok());
        let error = check(&["HOME", "CLIPPER_DEVICE"]).unwrap_err().to_string();
        assert!(error.contains("CLIPPER_DEVICE is set"), "{error}");
    }
}
