//! Reads the result files of a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::error::Error;
use crate::format::{BASELINE, FORMER, FORMER_BASELINE, convert_former};
use crate::trial::{FORMAT, Trial, TrialOutcome};

/// Results in the folder of a sweep, ordered by configuration and round, as a report shows them.
#[derive(Debug)]
pub struct Folder {
    /// Path of the folder.
    pub path: PathBuf,
    /// Trials of the model; at least one.
    pub trials: Vec<TrialFile>,
    /// Trials of the no-op model, from a subfolder.
    pub baselines: Vec<TrialFile>,
    /// Files that are named like results and are none, with the reason.
    pub left_out: Vec<(PathBuf, ReadError)>,
    /// Rate for which the sweep recommends a configuration, in queries/s.
    pub target_qps: Option<f64>,
}

/// A trial with the name of its file.
#[derive(Debug)]
pub struct TrialFile {
    /// File name without the folder.
    pub file: String,
    /// Content of the file.
    pub trial: Trial,
}

/// Reason why a file cannot be read as a result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    File(#[from] io::Error),
    /// The content is not JSON, or lacks a key of results.
    #[error("not a result file: {0}")]
    Content(#[from] serde_json::Error),
    /// A list that must have entries is empty.
    #[error("not a result file: {0} is empty")]
    Empty(&'static str),
    /// The JSON has no format number, as that of the original driver.
    #[error("no format number; read a file of the original driver with `driver import`")]
    NoFormat,
    /// The format is unknown.
    #[error(
        "format {0} is unknown, this driver reads formats {FORMER} and {FORMAT}; use the version that wrote the file"
    )]
    Format(Value),
}

impl Folder {
    /// Reads the `results-*.json` in `path` and in its subfolder `baseline`, or `zero` of the
    /// former format.
    ///
    /// # Errors
    /// `NoResults` if none of them is a result, `File` if the folder cannot be read.
    pub fn read(path: &Path) -> Result<Folder, Error> {
        let mut left_out = Vec::new();
        let trials = trial_files(path, &mut left_out)?;
        if trials.is_empty() {
            return Err(Error::NoResults(no_results(path, &left_out)));
        }
        let baselines = [BASELINE, FORMER_BASELINE].map(|name| path.join(name));
        let baselines = baselines.iter().find(|folder| folder.is_dir());
        Ok(Folder {
            path: path.to_owned(),
            baselines: match baselines {
                Some(folder) => trial_files(folder, &mut left_out)?,
                None => Vec::new(),
            },
            trials,
            left_out,
            target_qps: target_qps(path),
        })
    }

    /// Trials of the model without the names of their files.
    pub fn results(&self) -> impl Iterator<Item = &Trial> + Clone {
        self.trials.iter().map(|file| &file.trial)
    }
}

impl Trial {
    /// Reads a result file.
    ///
    /// # Errors
    /// If the file cannot be read or is not a result.
    pub fn read(file: &Path) -> Result<Trial, ReadError> {
        Trial::parse(&fs::read(file)?)
    }

    /// Reads the text of a result file.
    ///
    /// # Errors
    /// If the text is not a result.
    pub fn parse(text: &[u8]) -> Result<Trial, ReadError> {
        let mut json: Value = serde_json::from_slice(text)?;
        match json.get("format") {
            None => return Err(ReadError::NoFormat),
            Some(format) if *format == FORMAT => (),
            Some(format) if *format == FORMER => convert_former(&mut json),
            Some(format) => return Err(ReadError::Format(format.clone())),
        }
        let result: Trial = serde_json::from_value(json)?;
        if result.node_configs.is_empty() {
            return Err(ReadError::Empty("node_configs"));
        }
        match &result.outcome {
            TrialOutcome::Speed(speed) if speed.phases.is_empty() => {
                Err(ReadError::Empty("phases"))
            }
            _ => Ok(result),
        }
    }
}

/// Returns the trials of one folder by configuration and round.
fn trial_files(
    folder: &Path,
    left_out: &mut Vec<(PathBuf, ReadError)>,
) -> Result<Vec<TrialFile>, Error> {
    let mut trials = Vec::new();
    for path in files(folder)? {
        match Trial::read(&path) {
            Ok(trial) => trials.push(TrialFile {
                file: name(&path),
                trial,
            }),
            Err(reason) => left_out.push((path, reason)),
        }
    }
    trials.sort_by_cached_key(|file| (file.trial.key(), file.trial.round));
    Ok(trials)
}

/// Lists the `results-*.json` of a folder by name.
///
/// # Errors
/// If the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::file("read the folder", folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = name(&path);
        if name.starts_with("results-") && name.ends_with(".json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the target rate from the record of the sweep, if the folder has one.
fn target_qps(folder: &Path) -> Option<f64> {
    let record = fs::read(folder.join("sweep.json")).ok()?;
    let record: Value = serde_json::from_slice(&record).ok()?;
    record.pointer("/settings/target_qps")?.as_f64()
}

fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn no_results(path: &Path, left_out: &[(PathBuf, ReadError)]) -> String {
    let folder = path.display();
    match left_out {
        [] => format!("no result file in {folder}; name the folder of a sweep"),
        [(file, reason), ..] => format!(
            "cannot read any of the {} result files in {folder}; {}: {reason}",
            left_out.len(),
            name(file)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::whole;

    fn read(files: &[(&str, String)]) -> Result<Folder, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Folder::read(folder.path())
    }

    fn text(change: impl Fn(&mut Trial)) -> String {
        let mut result = whole();
        change(&mut result);
        serde_json::to_string(&result).unwrap()
    }

    #[test]
    fn orders_trials_by_configuration_and_round() {
        let shaped = |replicas, batch, round| {
            text(move |result| {
                result.round = round;
                result.node_configs[0].num_replicas = replicas;
                result.node_configs[0].batch_size = batch;
            })
        };
        let folder = read(&[
            ("results-a.json", shaped(10, 1, 1)),
            ("results-b.json", shaped(2, 8, 2)),
            ("results-c.json", shaped(2, 8, 1)),
            ("results-d.json", shaped(2, 4, 1)),
            ("notes.txt", "no JSON".to_owned()),
        ])
        .unwrap();
        let files: Vec<_> = folder.trials.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "results-d.json",
                "results-c.json",
                "results-b.json",
                "results-a.json"
            ]
        );
        assert!(folder.baselines.is_empty() && folder.left_out.is_empty());
    }

    #[test]
    fn reads_the_baseline_and_the_target_rate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("baseline")).unwrap();
        fs::write(path.join("results-1.json"), text(|_| ())).unwrap();
        fs::write(path.join("baseline/results-2.json"), text(|_| ())).unwrap();
        fs::write(
            path.join("sweep.json"),
            r#"{"settings": {"target_qps": 500}}"#,
        )
        .unwrap();
        let read = Folder::read(path).unwrap();
        assert_eq!((read.trials.len(), read.baselines.len()), (1, 1));
        assert_eq!(read.baselines[0].file, "results-2.json");
        assert_eq!(read.target_qps, Some(500.0));
        assert!(read.left_out.is_empty());
    }

    #[test]
    fn leaves_out_other_files_with_the_reason() {
        let folder = read(&[
            ("results-a.json", text(|_| ())),
            ("results-cut.json", text(|_| ())[..200].to_owned()),
            ("results-old.json", text(|result| result.format = 1)),
            (
                "results-original.json",
                r#"{"client_metrics": {}}"#.to_owned(),
            ),
            ("results-list.json", "[1, 2]".to_owned()),
            (
                "results-node.json",
                text(|result| result.node_configs.clear()),
            ),
            (
                "results-speed.json",
                text(|result| {
                    let crate::trial::TrialOutcome::Speed(speed) = &mut result.outcome else {
                        unreachable!("the fixture is a speed")
                    };
                    speed.phases.clear();
                }),
            ),
        ])
        .unwrap();
        assert_eq!(folder.trials.len(), 1);
        let reason = |file: &str| {
            let mut left_out = folder.left_out.iter();
            left_out
                .find(|(path, _)| path.ends_with(file))
                .unwrap()
                .1
                .to_string()
        };
        assert!(reason("results-cut.json").contains("not a result file: EOF"));
        assert!(
            reason("results-old.json")
                .contains("format 1 is unknown, this driver reads formats 2 and 3")
        );
        assert!(reason("results-original.json").contains("with `driver import`"));
        assert!(reason("results-list.json").contains("no format number"));
        assert!(reason("results-node.json").contains("node_configs is empty"));
        assert!(reason("results-speed.json").contains("phases is empty"));
    }

    #[test]
    fn error_of_a_folder_without_results_names_a_file() {
        let error = read(&[("results-old.json", r#"{"format": 1}"#.to_owned())]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("any of the 1 result files"), "{error}");
        assert!(
            error.contains("results-old.json: format 1 is unknown"),
            "{error}"
        );
        let error = read(&[]).unwrap_err().to_string();
        assert!(error.contains("no result file in"), "{error}");
    }
}
