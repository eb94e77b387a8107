//! The folder of a sweep: a record of what was asked for, a file per result, logs, and the no-op model's likewise.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
    rc::Rc,
};

use jiff::Zoned;
use results::{self, Slot, Trial};
use rustix::system::uname;

use crate::error::Error;

/// The file that is locked while a driver measures into the folder. It says which driver that is, or was.
const LOCK: &str = "lock";

/// A folder that takes results, of this driver alone as long as it is open.
#[derive(Debug)]
pub struct SweepFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Holds the lock, which the kernel releases when the driver ends, however it ends.
    lock: Rc<File>,
}

impl SweepFolder {
    /// Tries whether sweeps' folders can be made in `parent`, which is made if need be: so that nothing is measured in
    /// vain.
    ///
    /// # Errors
    /// If they cannot.
    pub fn try_parent(parent: &Path) -> Result<(), Error> {
        let probe = parent.join(format!(".probe-{}", std::process::id()));
        fs::create_dir_all(parent)
            .and_then(|()| fs::create_dir(&probe))
            .and_then(|()| fs::remove_dir(&probe))
            .map_err(|error| {
                Error::Usage(format!(
                    "cannot write results to {}: {error}; choose another folder with --results_dir",
                    parent.display()
                ))
            })
    }

    /// Makes a folder in `parent` for a sweep of `model` that begins now. Two drivers never share one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(parent: &Path, model: &str) -> Result<SweepFolder, Error> {
        for name in results::names(&format!("{model}-")) {
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Ok(()) => return SweepFolder::open(&path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("make the folder", &path, error)),
            }
        }
        unreachable!("the names do not end")
    }

    /// Locks the folder `path` and makes room for results and logs.
    ///
    /// # Errors
    /// If it is missing or cannot be written, or another driver measures into it.
    pub fn open(path: &Path) -> Result<SweepFolder, Error> {
        let path = fs::canonicalize(path).map_err(|error| Error::file("find", path, error))?;
        let lock = Rc::new(lock(&path)?);
        SweepFolder { path, lock }.with_logs()
    }

    /// The folder in it for what is measured of the no-op model, under the same lock.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn zero(&self) -> Result<SweepFolder, Error> {
        let path = self.path.join("zero");
        let lock = self.lock.clone();
        SweepFolder { path, lock }.with_logs()
    }

    fn with_logs(self) -> Result<SweepFolder, Error> {
        let logs = self.path.join("logs");
        fs::create_dir_all(&logs).map_err(|error| Error::file("make the folder", &logs, error))?;
        Ok(self)
    }

    /// A name for a trial that is about to be made.
    ///
    /// # Errors
    /// If its folder of logs cannot be made.
    pub fn slot(&self) -> Result<Slot, Error> {
        Ok(Slot::take(&self.path)?)
    }

    /// The results that are there. What could not run goes away, to be tried again.
    ///
    /// # Errors
    /// If one cannot be read or removed.
    pub fn results(&self) -> Result<Vec<(PathBuf, Trial)>, Error> {
        let read = |file: PathBuf| match Trial::read(&file) {
            Ok(result) => Ok((file, result)),
            Err(reason) => Err(Error::file("continue with", &file, reason)),
        };
        let there = results::files(&self.path)?.into_iter().map(read);
        let there = there.collect::<Result<Vec<_>, _>>()?.into_iter();
        let (failed, results): (Vec<_>, Vec<_>) =
            there.partition(|(_, result)| result.not_run().is_some());
        for (file, _) in failed {
            fs::remove_file(&file).map_err(|error| Error::file("remove", &file, error))?;
        }
        Ok(results)
    }
}

/// Locks the folder for as long as the file is open.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let failed = |error: io::Error| {
        let advice = "results need a folder that can be written, on a file system with locks";
        Error::file("lock", &path, format!("{error}; {advice}"))
    };
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(folder, file)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let host = uname();
    let holder = format!(
        "driver {} on {}, since {}",
        process::id(),
        host.nodename().to_string_lossy(),
        Zoned::now().strftime("%F %T")
    );
    file.set_len(0)
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(failed)?;
    Ok(file)
}

/// Says who measures into the folder, as far as the locked file tells.
fn in_use(folder: &Path, mut locked: File) -> Error {
    let mut holder = String::new();
    let holder = match locked.read_to_string(&mut holder) {
        Ok(1..) => holder.as_str(),
        _ => "another driver",
    };
    Error::Usage(format!(
        "{} is in use by {holder}: wait until it has ended or stop it with Ctrl-C, then give --resume again",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Outcome, fixture::whole};

    #[test]
    fn two_sweeps_of_one_second_have_folders_of_their_own() {
        let parent = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..3)
            .map(|_| SweepFolder::make(parent.path(), "vgg").unwrap().path)
            .collect();
        assert_ne!(paths[0], paths[1]);
        assert_ne!(paths[1], paths[2]);
        for path in paths {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("vgg-2"), "{name}");
            assert!(path.join("logs").is_dir());
        }
    }

    #[test]
    fn a_result_is_whole_or_not_there_and_what_could_not_run_is_tried_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = SweepFolder::make(parent.path(), "noop").unwrap();
        folder.slot().unwrap().write(&whole()).unwrap();
        let not_run = Trial {
            outcome: Outcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        folder.slot().unwrap().write(&not_run).unwrap();
        // As a driver leaves it that is killed while it writes.
        let killed = folder.slot().unwrap();
        fs::write(killed.file.with_extension("unfinished"), "{\"format\": 2,").unwrap();

        let results = folder.results().unwrap();
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].1, whole());
        let files = fs::read_dir(&folder.path).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let ends = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        assert_eq!(files.filter(ends).count(), 1);
    }
}
