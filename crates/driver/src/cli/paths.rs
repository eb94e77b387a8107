//! Paths as result files hold them.

use std::path::Path;

use crate::error::Error;

/// A path as text; the error names the flag.
pub(super) fn utf8(flag: &str, path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Usage(format!(
            "{flag} {} is not UTF-8, and result files hold paths as text: choose a path that is UTF-8, or rename it",
            path.display()
        ))
    })
}
