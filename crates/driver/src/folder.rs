//! The folder of a sweep: its record, one file per result, logs, and a folder with results of the baseline.

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

/// The file that a driver locks while it uses the folder. It contains the name of that driver.
const LOCK: &str = "lock";

/// A folder for results, locked by this driver until it is dropped.
#[derive(Debug)]
pub struct SweepFolder {
    /// Absolute path of the folder.
    pub path: PathBuf,
    /// The locked file; the kernel releases the lock when the driver ends or is killed.
    lock: Rc<File>,
}

impl SweepFolder {
    /// Checks that folders can be made in `parent`, before anything is measured. Makes `parent` if it does not exist.
    ///
    /// # Errors
    /// If a folder cannot be made.
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

    /// Makes a folder in `parent` for a new sweep of `model`. Two drivers never get the same folder.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn make(parent: &Path, model: &str) -> Result<SweepFolder, Error> {
        for name in results::timestamped_names(&format!("{model}-")) {
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Ok(()) => return SweepFolder::open(&path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("make the folder", &path, error)),
            }
        }
        unreachable!("the names do not end")
    }

    /// Locks the folder `path` and makes its folder of logs.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written, or another driver uses it.
    pub fn open(path: &Path) -> Result<SweepFolder, Error> {
        let path = fs::canonicalize(path).map_err(|error| Error::file("find", path, error))?;
        let lock = Rc::new(lock(&path)?);
        SweepFolder { path, lock }.with_logs()
    }

    /// Makes the folder in it for results of the baseline, under the same lock.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn baseline(&self) -> Result<SweepFolder, Error> {
        let path = self.path.join("baseline");
        let lock = self.lock.clone();
        SweepFolder { path, lock }.with_logs()
    }

    fn with_logs(self) -> Result<SweepFolder, Error> {
        let logs = self.path.join("logs");
        fs::create_dir_all(&logs).map_err(|error| Error::file("make the folder", &logs, error))?;
        Ok(self)
    }

    /// Reserves the file name and the folder of logs for a trial.
    ///
    /// # Errors
    /// If its folder of logs cannot be made.
    pub fn slot(&self) -> Result<Slot, Error> {
        Ok(Slot::reserve(&self.path)?)
    }

    /// Reads the results in the folder. Removes those that did not run, so that they are tried again.
    ///
    /// # Errors
    /// If a result cannot be read or removed.
    pub fn results(&self) -> Result<Vec<(PathBuf, Trial)>, Error> {
        let read = |file: PathBuf| match Trial::read(&file) {
            Ok(result) => Ok((file, result)),
            Err(reason) => Err(Error::file("continue with", &file, reason)),
        };
        let all = results::files(&self.path)?.into_iter().map(read);
        let all = all.collect::<Result<Vec<_>, _>>()?.into_iter();
        let (failed, results): (Vec<_>, Vec<_>) =
            all.partition(|(_, result)| result.not_run().is_some());
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
        let advice = "use a writable folder on a file system with locks";
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

/// Returns an error that names the driver in the locked file.
fn in_use(folder: &Path, mut locked: File) -> Error {
    let mut holder = String::new();
    let holder = match locked.read_to_string(&mut holder) {
        Ok(1..) => holder.as_str(),
        _ => "another driver",
    };
    Error::Usage(format!(
        "{} is in use by {holder}; wait until it ends or stop it with Ctrl-C, then use --resume again",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{TrialOutcome, fixture::whole};

    #[test]
    fn sweeps_in_the_same_second_have_different_folders() {
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
    fn only_complete_results_that_ran_are_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = SweepFolder::make(parent.path(), "noop").unwrap();
        folder.slot().unwrap().write(&whole()).unwrap();
        let not_run = Trial {
            outcome: TrialOutcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        folder.slot().unwrap().write(&not_run).unwrap();
        // A driver that is killed while it writes leaves this file.
        let killed = folder.slot().unwrap();
        fs::write(killed.file.with_extension("unfinished"), "{\"format\": 3,").unwrap();

        let results = folder.results().unwrap();
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].1, whole());
        let files = fs::read_dir(&folder.path).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let ends = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        assert_eq!(files.filter(ends).count(), 1);
    }
}
