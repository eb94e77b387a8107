//! Paths as text, as result files hold them.

use std::path::Path;

use crate::error::Error;

/// Returns a path as text; the error names the flag.
pub(super) fn utf8(flag: &str, path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Usage(format!(
            "{flag} {} is not UTF-8, and result files hold paths as text; rename it or choose another path",
            path.display()
        ))
    })
}
