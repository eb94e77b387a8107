//! Settings that depend on several flags: Docker, input files, arrivals of queries.

use std::path::{Path, PathBuf};

use deploy::{
    docker::DockerSettings,
    models::{InputKind, KnownModel},
};
use loadgen::{Arrivals, trace::Trace};

use super::{
    flags::{DockerFlags, InputFlags, LoadFlags, ManagerName, ModeName},
    paths::utf8,
};
use crate::{error::Error, labels, settings::Mode};

/// Returns the Docker settings with `--manager docker`, and `None` without.
pub(super) fn in_docker(
    flags: DockerFlags,
    engine: Option<&str>,
) -> Result<Option<DockerSettings>, Error> {
    let usage = |text: &str| Err(Error::Usage(text.to_owned()));
    match flags.manager {
        ManagerName::Process => {
            let unused = [
                ("--image", flags.image.is_some()),
                ("--frontend_image", flags.frontend_image.is_some()),
                ("--replica_memory_mib", flags.replica_memory_mib.is_some()),
            ];
            match unused.iter().find(|(_, given)| *given) {
                None => Ok(None),
                Some((flag, _)) => usage(&format!(
                    "{flag} has no effect without --manager docker; omit it"
                )),
            }
        }
        ManagerName::Docker if engine == Some("tch") && flags.image.is_none() => usage(
            "the images contain ONNX Runtime only; omit --engine tch, or name another image with --image",
        ),
        ManagerName::Docker => Ok(Some(DockerSettings {
            image: flags.image,
            frontend_image: (flags.frontend_image)
                .unwrap_or_else(|| "clipper/zmq_frontend".to_owned()),
            replica_memory_mib: flags.replica_memory_mib,
        })),
    }
}

/// Returns the paths of the inputs and, in an accuracy run, of their labels.
pub(super) fn input_files(
    inputs: &InputFlags,
    model: &KnownModel,
    artifact: Option<&Path>,
) -> Result<(Option<PathBuf>, Option<PathBuf>), Error> {
    if inputs.input_dir.is_some() && matches!(model.input, InputKind::Anything(_)) {
        return Err(Error::Usage(format!(
            "{} ignores its inputs; omit --input_dir",
            model.name
        )));
    }
    let input_dir = inputs.input_dir.clone();
    if !inputs.accuracy {
        return Ok((input_dir, None));
    }
    let files = labels::locate(model, input_dir, artifact, inputs.labels.clone())?;
    Ok((Some(files.0), Some(files.1)))
}

/// Rate of the original driver, in queries per second: one query every 5 ms.
const FLOOD_RATE: f64 = 200.0;

/// Reads the trace of the mode `trace`; `None` in other modes.
pub(super) fn trace(load: &LoadFlags) -> Result<Option<Trace>, Error> {
    match (load.mode, &load.trace) {
        (ModeName::Trace, Some(file)) => {
            utf8("--trace", file)?;
            Ok(Some(Trace::read(file)?))
        }
        _ => Ok(None),
    }
}

/// Returns the mode with its arrivals; `recorded` are those of the trace, if any.
pub(super) fn mode(load: &LoadFlags, recorded: Option<Arrivals>) -> Result<Mode, Error> {
    let needed = |name| {
        let text = format!("--mode {name} needs --rate, in queries per second");
        load.rate.ok_or(Error::Usage(text))
    };
    let constant = |rate| Arrivals::Constant { rate };
    let mode = match (load.mode, recorded) {
        (ModeName::Profile, _) => Mode::Profile,
        (ModeName::Saturate, _) => Mode::Saturate,
        (ModeName::SingleStream, _) => Mode::SingleStream,
        (ModeName::Poisson, _) => Mode::Open(Arrivals::poisson(needed("poisson")?)),
        (ModeName::Constant, _) => Mode::Open(constant(needed("constant")?)),
        (ModeName::Flood, _) => Mode::Flood(constant(load.rate.unwrap_or(FLOOD_RATE))),
        (ModeName::Trace, Some(recorded)) => Mode::Open(recorded),
        (ModeName::Trace, None) => {
            return Err(Error::Usage(
                "--mode trace needs --trace, a file of arrival times in seconds, one per line"
                    .into(),
            ));
        }
    };
    let unused = |flag: &str| {
        let text = format!("{flag} has no effect with --mode {}; omit it", mode.name());
        Err(Error::Usage(text))
    };
    let is_rated = matches!(mode.name(), "poisson" | "constant" | "flood");
    match (load.rate.is_some() && !is_rated, &load.trace) {
        (true, _) => unused("--rate"),
        (_, Some(_)) if mode.name() != "trace" => unused("--trace"),
        _ => Ok(mode),
    }
}
