//! The result files of a folder, read back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{FORMAT, Outcome, PointResult};
use crate::Error;

/// What a folder holds, in the order in which a report shows it: by model, replicas, cores, GPUs, batch size and round.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The points; one at least.
    pub points: Vec<Filed>,
    /// Those of the no-op model that were measured beside another one.
    pub zeros: Vec<Filed>,
    /// JSON files that are no results, and why not.
    pub left_out: Vec<(PathBuf, NotRead)>,
}

/// A result with the name of its file.
#[derive(Debug)]
pub struct Filed {
    /// Without the folder.
    pub file: String,
    /// What is in it.
    pub result: PointResult,
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
    /// Reads every JSON file in `path`, but not in the folders below. None that is a result is an error.
    pub fn read(path: &Path) -> Result<Folder, Error> {
        let failed = |error| Error::file("read the folder", path, error);
        let (mut points, mut left_out) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match PointResult::read(&file) {
                Ok(result) => points.push(Filed {
                    file: name(&file),
                    result,
                }),
                Err(reason) => left_out.push((file, reason)),
            }
        }
        if points.is_empty() {
            return Err(Error::Failed(nothing(path, &left_out)));
        }
        points.sort_by(|a, b| order(a).cmp(&order(b)));
        let other = points.iter().any(|point| !is_noop(point));
        let (zeros, points) = points
            .into_iter()
            .partition(|point| other && is_noop(point));
        Ok(Folder {
            path: path.to_owned(),
            points,
            zeros,
            left_out,
        })
    }

    /// The points without the names of their files.
    pub fn results(&self) -> impl Iterator<Item = &PointResult> + Clone {
        self.points.iter().map(|point| &point.result)
    }
}

impl PointResult {
    /// Reads a result file.
    pub fn read(file: &Path) -> Result<PointResult, NotRead> {
        let json: Value = serde_json::from_slice(&fs::read(file)?)?;
        match json.get("format") {
            None => return Err(NotRead::NoFormat),
            Some(format) if *format != FORMAT => return Err(NotRead::Format(format.clone())),
            Some(_) => (),
        }
        let result: PointResult = serde_json::from_value(json)?;
        if result.node_configs.is_empty() {
            return Err(NotRead::Empty("node_configs"));
        }
        match &result.outcome {
            Outcome::Speed(speed) if speed.phases.is_empty() => Err(NotRead::Empty("phases")),
            _ => Ok(result),
        }
    }
}

fn order(point: &Filed) -> impl Ord {
    let node = &point.result.node_configs[0];
    (
        node.name.clone(),
        node.num_replicas,
        node.cpus_per_replica,
        node.gpus.len(),
        node.batch_size,
        point.result.round,
        point.file.clone(),
    )
}

fn is_noop(point: &Filed) -> bool {
    point.result.node_configs[0].name == "noop"
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
            "none of the {} JSON files in {folder} is a result of this driver; {}: {reason}",
            left_out.len(),
            name(file)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::whole;

    fn read(files: &[(&str, String)]) -> Result<Folder, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Folder::read(folder.path())
    }

    fn text(change: impl Fn(&mut PointResult)) -> String {
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
            ("a.json", shaped(10, 1, 1)),
            ("b.json", shaped(2, 8, 2)),
            ("c.json", shaped(2, 8, 1)),
            ("d.json", shaped(2, 4, 1)),
            ("notes.txt", "no JSON".to_owned()),
        ])
        .unwrap();
        let files: Vec<_> = folder.points.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(files, ["d.json", "c.json", "b.json", "a.json"]);
        assert!(folder.zeros.is_empty() && folder.left_out.is_empty());
    }

    #[test]
    fn the_no_op_model_is_a_zero_beside_another_one_and_a_point_by_itself() {
        let vgg = text(|result| result.node_configs[0].name = "vgg".to_owned());
        let folder = read(&[("a.json", text(|_| ())), ("b.json", vgg)]).unwrap();
        assert_eq!((folder.points.len(), folder.zeros.len()), (1, 1));
        assert_eq!(folder.points[0].file, "b.json");
        let alone = read(&[("a.json", text(|_| ()))]).unwrap();
        assert_eq!((alone.points.len(), alone.zeros.len()), (1, 0));
    }

    #[test]
    fn what_is_no_result_is_left_out_with_the_reason() {
        let folder = read(&[
            ("a.json", text(|_| ())),
            ("cut.json", text(|_| ())[..200].to_owned()),
            ("old.json", text(|result| result.format = 1)),
            ("original.json", r#"{"client_metrics": {}}"#.to_owned()),
            ("list.json", "[1, 2]".to_owned()),
            ("node.json", text(|result| result.node_configs.clear())),
            (
                "speed.json",
                text(|result| {
                    let crate::results::Outcome::Speed(speed) = &mut result.outcome else {
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
        assert!(reason("cut.json").contains("it is no result: EOF"));
        assert!(reason("old.json").contains("of format 1, and this driver reads format 2"));
        assert!(reason("original.json").contains("`driver import` reads it"));
        assert!(reason("list.json").contains("no format number"));
        assert!(reason("node.json").contains("node_configs is empty"));
        assert!(reason("speed.json").contains("phases is empty"));
    }

    #[test]
    fn a_folder_without_results_is_an_error_that_names_a_file() {
        let error = read(&[("old.json", r#"{"format": 1}"#.to_owned())]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("none of the 1 JSON files"), "{error}");
        assert!(error.contains("old.json: it is of format 1"), "{error}");
        let error = read(&[]).unwrap_err().to_string();
        assert!(error.contains("no result file in"), "{error}");
    }
}
