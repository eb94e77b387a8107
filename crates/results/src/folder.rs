//! The result files of a folder, read back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::error::Error;
use crate::trial::{FORMAT, Outcome, Trial};

/// What the folder of a sweep holds, in the order in which a report shows it: by configuration and round.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The points; one at least.
    pub points: Vec<Filed>,
    /// Those of the no-op model, which lie in a folder of their own in it.
    pub zeros: Vec<Filed>,
    /// Files that are called as results are and are none, and why not.
    pub left_out: Vec<(PathBuf, NotRead)>,
    /// The rate for which the sweep was to recommend a configuration, in queries a second.
    pub target_qps: Option<f64>,
}

/// A result with the name of its file.
#[derive(Debug)]
pub struct Filed {
    /// Without the folder.
    pub file: String,
    /// What is in it.
    pub result: Trial,
}

/// Why a file is not read as a result.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// The file system says no.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// No JSON, or JSON without what every result has.
    #[error("it is no result: {0}")]
    Content(#[from] serde_json::Error),
    /// There is nothing that a report could show.
    #[error("it is no result: its list of {0} is empty")]
    Empty(&'static str),
    /// JSON of the original driver's kind, or of none.
    #[error("it has no format number: if the original driver wrote it, `driver import` reads it")]
    NoFormat,
    /// Another version wrote it.
    #[error(
        "it is of format {0}, and this driver reads format {FORMAT}: read it with the version that wrote it"
    )]
    Format(Value),
}

impl Folder {
    /// Reads the `results-*.json` in `path` and in its folder `zero`.
    ///
    /// # Errors
    /// `NoResults` if none of them is a result, `File` if the folder cannot be read.
    pub fn read(path: &Path) -> Result<Folder, Error> {
        let mut left_out = Vec::new();
        let points = filed(path, &mut left_out)?;
        if points.is_empty() {
            return Err(Error::NoResults(nothing(path, &left_out)));
        }
        let zeros = path.join("zero");
        Ok(Folder {
            path: path.to_owned(),
            zeros: match zeros.is_dir() {
                true => filed(&zeros, &mut left_out)?,
                false => Vec::new(),
            },
            points,
            left_out,
            target_qps: target_qps(path),
        })
    }

    /// The points without the names of their files.
    pub fn results(&self) -> impl Iterator<Item = &Trial> + Clone {
        self.points.iter().map(|point| &point.result)
    }
}

impl Trial {
    /// Reads a result file.
    ///
    /// # Errors
    /// If it cannot be read, or is no result of this format.
    pub fn read(file: &Path) -> Result<Trial, NotRead> {
        Trial::parse(&fs::read(file)?)
    }

    /// Reads the text of a result file.
    ///
    /// # Errors
    /// If it is no result of this format.
    pub fn parse(text: &[u8]) -> Result<Trial, NotRead> {
        let json: Value = serde_json::from_slice(text)?;
        match json.get("format") {
            None => return Err(NotRead::NoFormat),
            Some(format) if *format != FORMAT => return Err(NotRead::Format(format.clone())),
            Some(_) => (),
        }
        let result: Trial = serde_json::from_value(json)?;
        if result.node_configs.is_empty() {
            return Err(NotRead::Empty("node_configs"));
        }
        match &result.outcome {
            Outcome::Speed(speed) if speed.phases.is_empty() => Err(NotRead::Empty("phases")),
            _ => Ok(result),
        }
    }
}

/// The results of one folder by configuration and round.
fn filed(folder: &Path, left_out: &mut Vec<(PathBuf, NotRead)>) -> Result<Vec<Filed>, Error> {
    let mut points = Vec::new();
    for path in files(folder)? {
        match Trial::read(&path) {
            Ok(result) => points.push(Filed {
                file: name(&path),
                result,
            }),
            Err(reason) => left_out.push((path, reason)),
        }
    }
    points.sort_by_cached_key(|point| (point.result.key(), point.result.round));
    Ok(points)
}

/// The `results-*.json` of a folder, by name.
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

/// As in the record of the sweep, if there is one.
fn target_qps(folder: &Path) -> Option<f64> {
    let record = fs::read(folder.join("sweep.json")).ok()?;
    let record: Value = serde_json::from_slice(&record).ok()?;
    record.pointer("/settings/target_qps")?.as_f64()
}

fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn nothing(path: &Path, left_out: &[(PathBuf, NotRead)]) -> String {
    let folder = path.display();
    match left_out {
        [] => format!("there is no result file in {folder}: name the folder of a sweep"),
        [(file, reason), ..] => format!(
            "none of the {} result files in {folder} is a result of this driver; {}: {reason}",
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
    fn points_come_by_shape_and_round_whatever_their_files_are_called() {
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
        let files: Vec<_> = folder.points.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "results-d.json",
                "results-c.json",
                "results-b.json",
                "results-a.json"
            ]
        );
        assert!(folder.zeros.is_empty() && folder.left_out.is_empty());
    }

    #[test]
    fn the_no_op_model_beside_a_sweep_and_the_rate_it_was_for_are_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("zero")).unwrap();
        fs::write(path.join("results-1.json"), text(|_| ())).unwrap();
        fs::write(path.join("zero/results-2.json"), text(|_| ())).unwrap();
        fs::write(
            path.join("sweep.json"),
            r#"{"settings": {"target_qps": 500}}"#,
        )
        .unwrap();
        let read = Folder::read(path).unwrap();
        assert_eq!((read.points.len(), read.zeros.len()), (1, 1));
        assert_eq!(read.zeros[0].file, "results-2.json");
        assert_eq!(read.target_qps, Some(500.0));
        assert!(read.left_out.is_empty());
    }

    #[test]
    fn what_is_no_result_is_left_out_with_the_reason() {
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
                    let crate::trial::Outcome::Speed(speed) = &mut result.outcome else {
                        unreachable!("it is a speed")
                    };
                    speed.phases.clear();
                }),
            ),
        ])
        .unwrap();
        assert_eq!(folder.points.len(), 1);
        let reason = |file: &str| {
            let mut left_out = folder.left_out.iter();
            left_out
                .find(|(path, _)| path.ends_with(file))
                .unwrap()
                .1
                .to_string()
        };
        assert!(reason("results-cut.json").contains("it is no result: EOF"));
        assert!(reason("results-old.json").contains("of format 1, and this driver reads format 2"));
        assert!(reason("results-original.json").contains("`driver import` reads it"));
        assert!(reason("results-list.json").contains("no format number"));
        assert!(reason("results-node.json").contains("node_configs is empty"));
        assert!(reason("results-speed.json").contains("phases is empty"));
    }

    #[test]
    fn a_folder_without_results_is_an_error_that_names_a_file() {
        let error = read(&[("results-old.json", r#"{"format": 1}"#.to_owned())]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("none of the 1 result files"), "{error}");
        assert!(
            error.contains("results-old.json: it is of format 1"),
            "{error}"
        );
        let error = read(&[]).unwrap_err().to_string();
        assert!(error.contains("no result file in"), "{error}");
    }
}
