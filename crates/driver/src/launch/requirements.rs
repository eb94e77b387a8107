//! Checks, before minutes of compiling, that what a model server loads is there.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{Error, models::KnownModel};

/// Where to look for what a model server needs.
pub(super) struct Place<'a> {
    /// The folder of the model servers' programs.
    pub(super) programs: &'a Path,
    /// The artifact that `--model_path` names.
    pub(super) model_path: Option<&'a str>,
    /// The value of an environment variable.
    pub(super) variable: &'a dyn Fn(&str) -> Option<PathBuf>,
}

impl<'a> Place<'a> {
    /// The folder of this program, and this process's environment.
    pub(super) fn here(programs: &'a Path, model_path: Option<&'a str>) -> Place<'a> {
        Place {
            programs,
            model_path,
            variable: &|name| {
                env::var_os(name)
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
            },
        }
    }

    /// Checks that the model's artifact and library exist.
    ///
    /// # Errors
    /// Names the first that is missing, and the command that makes or installs it.
    pub(super) fn check(&self, model: &KnownModel) -> Result<(), Error> {
        self.check_library(model)?;
        self.check_artifact(model)
    }

    fn check_library(&self, model: &KnownModel) -> Result<(), Error> {
        let Some(library) = model.library else {
            return Ok(());
        };
        let found = match (self.variable)(library.variable) {
            Some(path) => path.is_file() || path.join(library.file).is_file(),
            None => self.above().any(|folder| {
                let mut places = [".deps/lib", "lib"].iter();
                places.any(|place| folder.join(place).join(library.file).is_file())
            }),
        };
        match found {
            true => Ok(()),
            false => Err(Error::Failed(format!(
                "{} needs {} ({}), which is missing: run `make setup`, or name it with {}",
                model.name, library.name, library.file, library.variable
            ))),
        }
    }

    fn check_artifact(&self, model: &KnownModel) -> Result<(), Error> {
        let missing = |path: &Path| {
            Error::Failed(format!(
                "{} needs the artifact {}, which is missing: run `make artifacts`, or name another with --model_path",
                model.name,
                path.display()
            ))
        };
        if let Some(path) = self.model_path.map(Path::new) {
            return path.exists().then_some(()).ok_or_else(|| missing(path));
        }
        let Some(file) = model.artifact else {
            return Ok(());
        };
        let artifact = Path::new("artifacts").join(file);
        let found = self.above().any(|folder| folder.join(&artifact).exists());
        match found || artifact.exists() {
            true => Ok(()),
            false => Err(missing(&artifact)),
        }
    }

    /// The folders in which a program looks for its files: those above it.
    fn above(&self) -> impl Iterator<Item = &Path> {
        self.programs.ancestors()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::models;

    /// The error for `model` of programs in `root/target/release`, empty if nothing is missing.
    fn missing(root: &Path, model: &str, model_path: Option<&str>) -> String {
        let place = Place {
            programs: &root.join("target/release"),
            model_path,
            variable: &|_| None,
        };
        let checked = place.check(models::find(model).unwrap());
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    fn put(root: &Path, file: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn missing_files_are_named_with_the_command_that_makes_them() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(missing(root, "noop", None), "");
        let error = missing(root, "lgbm", None);
        assert!(
            error.contains("lib_lightgbm.so") && error.contains("`make setup`"),
            "{error}"
        );
        let error = missing(root, "vgg", None);
        assert!(
            error.contains("libonnxruntime.so") && error.contains("`make setup`"),
            "{error}"
        );
        put(root, ".deps/lib/libonnxruntime.so");
        let error = missing(root, "vgg", None);
        assert!(
            error.contains("artifacts/vgg.onnx") && error.contains("`make artifacts`"),
            "{error}"
        );
        put(root, "artifacts/vgg.onnx");
        assert_eq!(missing(root, "vgg", None), "");
        let error = missing(root, "vgg", Some("/nowhere/my.onnx"));
        assert!(error.contains("/nowhere/my.onnx"), "{error}");
    }

    #[test]
    fn variable_names_another_place_for_library() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        put(root, "elsewhere/lib_lightgbm.so");
        put(root, "artifacts/lgbm.txt");
        let place = Place {
            programs: &root.join("target/release"),
            model_path: None,
            variable: &|name| (name == "LIGHTGBM_LIB_DIR").then(|| root.join("elsewhere")),
        };
        place.check(models::find("lgbm").unwrap()).unwrap();
    }
}
