//! The labelled inputs of an accuracy run: their paths, and the labels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use deploy::models::KnownModel;
use host::machine::workspace;

use crate::error::Error;

/// Returns the paths of inputs and labels. The defaults are the files that training writes beside the artifact.
///
/// # Errors
/// If the model is not a classifier.
pub fn locate(
    model: &KnownModel,
    inputs: Option<PathBuf>,
    artifact: Option<&Path>,
    labels: Option<PathBuf>,
) -> Result<(PathBuf, PathBuf), Error> {
    if !model.is_classifier() {
        return Err(Error::Usage(format!(
            "--accuracy needs a classifier, and {} does not name classes; use svm or lgbm",
            model.name
        )));
    }
    let inputs = inputs.unwrap_or_else(|| match artifact {
        Some(artifact) => artifact.with_extension("npy"),
        None => {
            let artifacts = workspace().unwrap_or_default().join("artifacts");
            artifacts.join(format!("{}.npy", model.name))
        }
    });
    let labels = labels.unwrap_or_else(|| inputs.with_extension("labels.txt"));
    Ok((inputs, labels))
}

/// Reads one label per line, for this number of inputs.
///
/// # Errors
/// If the file cannot be read, or has another number of lines.
pub fn read(path: &Path, inputs: usize) -> Result<Vec<String>, Error> {
    let unusable = |why: String| {
        Error::Usage(format!(
            "{} {why}; --labels needs a text file with one label per line for every input, as `cargo xtask train` \
             writes it",
            path.display()
        ))
    };
    let text =
        fs::read_to_string(path).map_err(|error| unusable(format!("cannot be read ({error})")))?;
    let labels: Vec<_> = text.lines().map(str::to_owned).collect();
    match labels.len() == inputs {
        true => Ok(labels),
        false => Err(unusable(format!(
            "has {} labels for {inputs} inputs",
            labels.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy::models;

    #[test]
    fn paths_default_to_the_files_of_training() {
        let locate = |inputs: Option<&str>, artifact: Option<&str>, labels: Option<&str>| {
            let model = models::find("lgbm").unwrap();
            let found = locate(
                model,
                inputs.map(Into::into),
                artifact.map(Path::new),
                labels.map(Into::into),
            );
            let (inputs, labels) = found.unwrap();
            (inputs.display().to_string(), labels.display().to_string())
        };
        let (inputs, labels) = locate(None, None, None);
        assert!(inputs.ends_with("artifacts/lgbm.npy"), "{inputs}");
        assert!(labels.ends_with("artifacts/lgbm.labels.txt"), "{labels}");
        for (inputs, artifact, labels, found) in [
            (
                None,
                Some("my/own.txt"),
                None,
                ("my/own.npy", "my/own.labels.txt"),
            ),
            (
                Some("a.npy"),
                Some("my/own.txt"),
                None,
                ("a.npy", "a.labels.txt"),
            ),
            (Some("a.npy"), None, Some("b.txt"), ("a.npy", "b.txt")),
        ] {
            let (at, labels_at) = locate(inputs, artifact, labels);
            assert_eq!((at.as_str(), labels_at.as_str()), found);
        }
    }
}
