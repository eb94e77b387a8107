//! Checks, before minutes of compiling, that what a model server loads is there.

use std::{
    env,
    path::{Path, PathBuf},
};

use host::machine::workspace;

use crate::{
    error::Error,
    models::{KnownModel, Library},
};

/// Where to look for what a model server needs.
pub(crate) struct Place<'a> {
    /// The folder of the model servers' programs.
    pub(crate) programs: &'a Path,
    /// The root of the workspace, if there is one: the programs may have been built into a folder elsewhere.
    pub(crate) workspace: Option<PathBuf>,
    /// The artifact that `--model_path` names.
    pub(crate) model_path: Option<&'a str>,
    /// The value of an environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<PathBuf>,
}

impl<'a> Place<'a> {
    /// The folder of this program, and this process's environment.
    pub(crate) fn here(programs: &'a Path, model_path: Option<&'a str>) -> Place<'a> {
        Place {
            programs,
            workspace: workspace(),
            model_path,
            variable: &|name| {
                env::var_os(name)
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
            },
        }
    }

    /// Checks that the model's artifact and the library of its usual engine exist; returns the folder of the library.
    ///
    /// # Errors
    /// Names the first that is missing, and the command that makes or installs it.
    pub(crate) fn check(
        &self,
        model: &KnownModel,
        engine: Option<&str>,
    ) -> Result<Option<PathBuf>, Error> {
        let usual = engine.is_none() || engine == model.engines.first().copied();
        let library = model.library.filter(|_| usual);
        let folder = library.map(|library| {
            self.folder_of(library).ok_or_else(|| {
                Error::Missing(format!(
                    "{} needs {} ({}), which is missing: run `make setup`, or name it with {}",
                    model.name, library.name, library.file, library.variable
                ))
            })
        });
        let folder = folder.transpose()?;
        self.check_artifact(model)?;
        Ok(folder)
    }

    /// The folder of a library: what its variable names, else the nearest above the programs, else the workspace's.
    fn folder_of(&self, library: &Library) -> Option<PathBuf> {
        let named = (self.variable)(library.variable).map(|path| match path.is_file() {
            true => path.parent().map(Path::to_owned).unwrap_or_default(),
            false => path,
        });
        let mut folders: Vec<PathBuf> = match named {
            Some(folder) => vec![folder],
            None => {
                let roots = self.programs.ancestors().chain(self.workspace.as_deref());
                roots
                    .flat_map(|root| [root.join(".deps/lib"), root.join("lib")])
                    .collect()
            }
        };
        folders.retain(|folder| folder.join(library.file).is_file());
        folders.into_iter().next()
    }

    fn check_artifact(&self, model: &KnownModel) -> Result<(), Error> {
        let missing = |path: &Path| {
            Error::Missing(format!(
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
        let mut above = self.programs.ancestors();
        match above.any(|folder| folder.join(&artifact).exists()) || artifact.exists() {
            true => Ok(()),
            false => Err(missing(&artifact)),
        }
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
            workspace: None,
            model_path,
            variable: &|_| None,
        };
        let checked = place.check(models::find(model).unwrap(), None);
        checked.map_or_else(|error| error.to_string(), |_| String::new())
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
    fn library_is_found_by_variable_and_in_workspace() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        put(root, "elsewhere/lib_lightgbm.so");
        put(root, "checkout/.deps/lib/lib_lightgbm.so");
        put(root, "artifacts/lgbm.txt");
        let lgbm = models::find("lgbm").unwrap();
        let of = |variable: &dyn Fn(&str) -> Option<PathBuf>| {
            let place = Place {
                programs: &root.join("target/release"),
                workspace: Some(root.join("checkout")),
                model_path: None,
                variable,
            };
            place.check(lgbm, None).unwrap()
        };
        assert_eq!(of(&|_| None), Some(root.join("checkout/.deps/lib")));
        let named = |name: &str| (name == "LIGHTGBM_LIB_DIR").then(|| root.join("elsewhere"));
        assert_eq!(of(&named), Some(root.join("elsewhere")));
    }

    #[test]
    fn another_engine_does_without_the_usual_ones_library() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "artifacts/vgg.onnx");
        let place = Place {
            programs: &root.path().join("target/release"),
            workspace: None,
            model_path: None,
            variable: &|_| None,
        };
        let vgg = models::find("vgg").unwrap();
        assert!(place.check(vgg, Some("ort")).is_err());
        assert_eq!(place.check(vgg, Some("tch")).unwrap(), None);
    }
}
