//! Labelled pictures: a folder with one folder per class.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};

/// The picture files of a folder, in the order of their names.
#[derive(Debug)]
pub(crate) struct Pictures {
    /// Last component of the folder's path.
    pub(crate) name: String,
    /// The names of the classes, in order.
    pub(crate) classes: Vec<String>,
    /// Each file, and the index of its class.
    pub(crate) files: Vec<(PathBuf, usize)>,
    /// Number of files in class folders whose names end neither in JPEG's nor in PNG's extensions.
    others: usize,
}

impl Pictures {
    /// Lists the pictures in `folder`. Ignores names that begin with a dot, and files beside the class folders.
    ///
    /// # Errors
    /// Fails if there are fewer than two classes, a class has too few pictures or contains a folder, or a name is not
    /// text.
    pub(crate) fn find(folder: &Path) -> anyhow::Result<Pictures> {
        let mut found = Pictures {
            name: name(&fs::canonicalize(folder).with_context(|| unreadable(folder))?)?,
            classes: Vec::new(),
            files: Vec::new(),
            others: 0,
        };
        for class in entries(folder)?.iter().filter(|path| path.is_dir()) {
            found.add(class)?;
        }
        ensure!(
            found.classes.len() >= 2,
            "{} has too few folders in it ({}): training takes one per class, two at least, named like the class, with its \
             JPEG and PNG files in it",
            folder.display(),
            found.classes.len()
        );
        Ok(found)
    }

    fn add(&mut self, folder: &Path) -> anyhow::Result<()> {
        let class = self.classes.len();
        self.classes.push(name(folder)?);
        let before = self.files.len();
        for path in entries(folder)? {
            ensure!(
                !path.is_dir(),
                "{} is a folder inside a class: move its pictures up, or beside the classes to make it one",
                path.display()
            );
            match is_picture(&path) {
                true => self.files.push((path, class)),
                false => self.others += 1,
            }
        }
        enough(&self.classes[class], self.files.len() - before)
    }
}

impl fmt::Display for Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, classes) = (self.files.len(), self.classes.len());
        write!(f, "{}: {files} pictures of {classes} classes", self.name)?;
        match self.others {
            0 => Ok(()),
            others => write!(f, " (left alone, as neither JPEG nor PNG: {others})"),
        }
    }
}

/// Fails if a class has fewer than two pictures: one to train on and one to test with.
pub(crate) fn enough(class: &str, pictures: usize) -> anyhow::Result<()> {
    ensure!(
        pictures >= 2,
        "class {class} has too few usable pictures ({pictures}): two are needed, one to learn from and one to test with"
    );
    Ok(())
}

/// Entries of a folder, sorted by name.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .with_context(|| unreadable(folder))?;
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    Ok(paths)
}

fn unreadable(folder: &Path) -> String {
    format!("cannot read the folder {}", folder.display())
}

/// Name of a folder. Labels are written one per line, so it must be text without line breaks.
fn name(folder: &Path) -> anyhow::Result<String> {
    match folder.file_name().unwrap_or_default().to_str() {
        Some(name) if !name.contains(char::is_control) => Ok(name.to_owned()),
        _ => bail!(
            "{} has no name that can be a label: rename it",
            folder.display()
        ),
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    ["jpg", "jpeg", "png"].contains(&ending.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn classes_and_files_are_sorted_by_name() {
        let folder = folder(&[
            "owl/2.JPG",
            "owl/1.png",
            "owl/notes.txt",
            "cat/b.jpeg",
            "cat/a.png",
            "cat/.hidden.png",
            ".git/x",
            "README",
        ]);
        let found = Pictures::find(folder.path()).unwrap();
        assert_eq!(found.classes, ["cat", "owl"]);
        let files = found
            .files
            .iter()
            .map(|(path, class)| (path.file_name().unwrap().to_str().unwrap(), *class));
        let expected = [("a.png", 0), ("b.jpeg", 0), ("1.png", 1), ("2.JPG", 1)];
        assert_eq!(files.collect::<Vec<_>>(), expected);
        assert!(
            found
                .to_string()
                .ends_with("4 pictures of 2 classes (left alone, as neither JPEG nor PNG: 1)")
        );
    }

    #[test]
    fn unusable_folders_are_refused_in_one_line() {
        for (files, says) in [
            (
                &["cat/a.png", "cat/b.png"][..],
                "has too few folders in it (1): training takes one per class",
            ),
            (&["a.png", "b.png"], "folders in it (0)"),
            (
                &["cat/a.png", "cat/b.png", "dog/x.txt"],
                "class dog has too few usable pictures (0)",
            ),
            (
                &["cat/a.png", "cat/b.png", "dog/a.png"],
                "class dog has too few usable pictures (1)",
            ),
            (
                &["cat/a.png", "cat/b.png", "dog/old/a.png"],
                "dog/old is a folder inside a class",
            ),
            (&["a\nb/a.png", "a\nb/b.png"], "no name that can be a label"),
        ] {
            let folder = folder(files);
            let error = Pictures::find(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = Pictures::find(Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "cannot read the folder /nowhere");
    }
}
