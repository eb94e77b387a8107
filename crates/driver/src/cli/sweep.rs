//! The settings of a sweep, made of its flags.

use std::time::Duration;

use deploy::models;
use host::machine::workspace;

use super::{
    cross_checks::{in_docker, input_files, mode, trace},
    flags::Flags,
    values::{core_list, gpu_list, number, numbers, rate, share, shares, time, utf8},
};
use crate::{error::Error, settings::Settings};

/// Checks the flags, alone and together. The command line and the arguments that say it again are for the record.
pub(super) fn settings(
    flags: Flags,
    command_line: String,
    arguments: Vec<String>,
) -> Result<Settings, Error> {
    let Flags {
        model: model_flags,
        sweep,
        cores,
        docker,
        load,
        inputs,
        output,
    } = flags;
    let Some(name) = model_flags.model_name else {
        return Err(Error::Usage(
            "--model_name is missing: say what to measure, for instance --model_name vgg (driver --help explains)".into(),
        ));
    };
    let model = models::find(&name)?;
    let (input_dir, labels) = input_files(&inputs, model, model_flags.model_path.as_deref())?;
    let trace = trace(&load)?;
    let asked = time("--duration_seconds", &sweep.duration, 1.0);
    let duration = match (&labels, &trace) {
        (Some(_), _) => Duration::ZERO,
        (None, Some(trace)) => trace.duration(asked?)?,
        (None, None) => asked?,
    };
    let mode = mode(&load, trace.map(|trace| trace.arrivals(duration)))?;
    let engine = model.engine(model_flags.engine.as_deref())?;
    let list = |flag, pieces: &Option<Vec<String>>| {
        let pieces = pieces.as_deref();
        pieces.map(|pieces| core_list(flag, pieces)).transpose()
    };
    Ok(Settings {
        model,
        input_type: model.input_type(inputs.input_type.as_deref())?,
        docker: in_docker(docker, engine)?,
        engine,
        gpus: (cores.model_gpus.as_deref())
            .map_or(Ok(Vec::new()), |pieces| gpu_list(model, pieces))?,
        cpu_beyond_gpus: cores.cpu_beyond_gpus,
        gpu_mem_frac: share("--gpu_mem_frac", &cores.gpu_mem_frac)? as f32,
        duration,
        batch_sizes: numbers("--batch_sizes", &sweep.batch_sizes)?,
        num_replicas: numbers("--num_replicas", &sweep.num_replicas)?,
        repeats: number("--repeats", &sweep.repeats)?,
        until: optional(&sweep.until, |text| share("--until", text))?,
        zero: !sweep.no_zero && model.name != "noop",
        dry_run: sweep.dry_run,
        resume: None,
        model_cpus: list("--model_cpus", &cores.model_cpus)?,
        frontend_cpus: list("--frontend_cpus", &cores.frontend_cpus)?,
        client_cpus: list("--client_cpus", &cores.client_cpus)?,
        cpus_per_replica: cores.cpus_per_replica_nums.map_or(Ok(Vec::new()), |nums| {
            numbers("--cpus_per_replica_nums", &nums)
        })?,
        mode,
        load_shares: shares("--load_shares", &load.load_shares)?,
        num_clients: number("--num_clients", &load.num_clients)?,
        in_flight: optional(&load.in_flight, |text| number("--in_flight", text))?,
        objective: optional(&load.slo_ms, |text| time("--slo_ms", text, 1e-3))?,
        enforce_objective: load.enforce_slo,
        target_qps: optional(&load.target_qps, |text| rate("--target_qps", text))?,
        model_path: (model_flags.model_path.as_deref())
            .map(|path| utf8("--model_path", path))
            .transpose()?,
        input_dir,
        labels,
        seed: inputs.seed,
        results_dir: (output.results_dir)
            .unwrap_or_else(|| workspace().unwrap_or_else(|| ".".into()).join("results")),
        plain: output.plain,
        command_line,
        arguments,
    })
}

/// Reads the value of a flag that may be left out.
fn optional<T>(
    text: &Option<String>,
    read: impl FnOnce(&str) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    text.as_deref().map(read).transpose()
}
