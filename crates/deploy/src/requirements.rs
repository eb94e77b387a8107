//! Checks that the files a model server loads exist, before minutes of compiling.

use std::{
    env,
    path::{Path, PathBuf},
};

use host::machine::workspace;

use crate::{
    error::Error,
    models::{KnownModel, Library},
};

/// Locations of the files that a model server needs.
pub(crate) struct SearchPaths<'a> {
    /// Folder of the model servers' programs.
    pub(crate) programs: &'a Path,
    /// Root of the workspace, if there is one: the target folder may lie outside of it.
    pub(crate) workspace: Option<PathBuf>,
    /// Value of `--model_path`, if given.
    pub(crate) model_path: Option<&'a str>,
    /// Returns the value of an environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<PathBuf>,
}

impl<'a> SearchPaths<'a> {
    /// Searches with the environment of this process.
    pub(crate) fn new(programs: &'a Path, model_path: Option<&'a str>) -> SearchPaths<'a> {
        SearchPaths {
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

    /// Checks that the model's artifact and the library of its default engine exist; returns the folder
    /// of the library. Other engines do not need the library.
    ///
    /// # Errors
    /// Names the first missing file and the command that creates or installs it.
    pub(crate) fn check(
        &self,
        model: &KnownModel,
        engine: Option<&str>,
    ) -> Result<Option<PathBuf>, Error> {
        let is_default = engine.is_none() || engine == model.engines.first().copied();
        let library = model.library.filter(|_| is_default);
        let folder = library.map(|library| {
            self.library_folder(library).ok_or_else(|| {
                Error::Missing(format!(
                    "{} needs {} ({}), which is missing: run `make setup`, or set {} to its path",
                    model.name, library.name, library.file, library.variable
                ))
            })
        });
        let folder = folder.transpose()?;
        self.check_artifact(model)?;
        Ok(folder)
    }

    /// Returns the folder of a library: the one its variable names, else the nearest above the
    /// programs, else the workspace's.
    fn library_folder(&self, library: &Library) -> Option<PathBuf> {
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
                "{} needs the artifact {}, which is missing: run `make artifacts`, or give another with --model_path",
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

    /// Returns the error text for `model` with programs in `root/target/release`; empty if nothing is
    /// missing.
    fn missing(root: &Path, model: &str, model_path: Option<&str>) -> String {
        let paths = SearchPaths {
            programs: &root.join("target/release"),
            workspace: None,
            model_path,
            variable: &|_| None,
        };
        let checked = paths.check(models::find(model).unwrap(), None);
        checked.map_or_else(|error| error.to_string(), |_| String::new())
    }

    fn create(root: &Path, file: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn names_missing_files_and_the_command_that_creates_them() {
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
        create(root, ".deps/lib/libonnxruntime.so");
        let error = missing(root, "vgg", None);
        assert!(
            error.contains("artifacts/vgg.onnx") && error.contains("`make artifacts`"),
            "{error}"
        );
        create(root, "artifacts/vgg.onnx");
        assert_eq!(missing(root, "vgg", None), "");
        let error = missing(root, "vgg", Some("/nowhere/my.onnx"));
        assert!(error.contains("/nowhere/my.onnx"), "{error}");
    }

    #[test]
    fn finds_the_library_by_variable_and_in_the_workspace() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        create(root, "elsewhere/lib_lightgbm.so");
        create(root, "checkout/.deps/lib/lib_lightgbm.so");
        create(root, "artifacts/lgbm.txt");
        let lgbm = models::find("lgbm").unwrap();
        let folder = |variable: &dyn Fn(&str) -> Option<PathBuf>| {
            let paths = SearchPaths {
                programs: &root.join("target/release"),
                workspace: Some(root.join("checkout")),
                model_path: None,
                variable,
            };
            paths.check(lgbm, None).unwrap()
        };
        assert_eq!(folder(&|_| None), Some(root.join("checkout/.deps/lib")));
        let named = |name: &str| (name == "LIGHTGBM_LIB_DIR").then(|| root.join("elsewhere"));
        assert_eq!(folder(&named), Some(root.join("elsewhere")));
    }

    #[test]
    fn other_engines_do_not_need_the_default_library() {
        let root = tempfile::tempdir().unwrap();
        create(root.path(), "artifacts/vgg.onnx");
        let paths = SearchPaths {
            programs: &root.path().join("target/release"),
            workspace: None,
            model_path: None,
            variable: &|_| None,
        };
        let vgg = models::find("vgg").unwrap();
        assert!(paths.check(vgg, Some("ort")).is_err());
        assert_eq!(paths.check(vgg, Some("tch")).unwrap(), None);
    }
}
