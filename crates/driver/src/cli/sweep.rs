//! Turns the flags of a sweep into its settings.

use std::time::Duration;

use host::{cores::Cores, machine::workspace};

use super::{
    cross_checks::{in_docker, input_files, mode, trace},
    flags::Flags,
    lists::{self, numbers},
    paths::utf8,
    values::share,
};
use crate::{error::Error, settings::Settings};

/// Checks the flags, alone and together. `command_line` and `arguments` go into the record of the sweep.
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
    let Some(model) = model_flags.model_name else {
        return Err(Error::Usage(
            "--model_name is missing; name a model, for instance --model_name vgg (see driver --help)".into(),
        ));
    };
    let (input_dir, labels) = input_files(&inputs, model, model_flags.model_path.as_deref())?;
    let trace = trace(&load)?;
    let duration = match (&labels, &trace) {
        (Some(_), _) => Duration::ZERO,
        (None, Some(trace)) => trace.duration(sweep.duration)?,
        (None, None) => sweep.duration,
    };
    let mode = mode(&load, trace.map(|trace| trace.arrivals(duration)))?;
    let engine = model.engine(model_flags.engine.as_deref())?;
    let list = |flag, arguments: &Option<Vec<Cores>>| {
        let arguments = arguments.as_deref();
        arguments
            .map(|arguments| lists::cores(flag, arguments))
            .transpose()
    };
    Ok(Settings {
        model,
        input_type: model.input_type(inputs.input_type.as_deref())?,
        docker: in_docker(docker, engine)?,
        engine,
        gpus: (cores.model_gpus.as_deref())
            .map_or(Ok(Vec::new()), |gpus| lists::gpus(model, gpus))?,
        cpu_beyond_gpus: cores.cpu_beyond_gpus,
        gpu_mem_frac: gpu_share(&cores.gpu_mem_frac)?,
        duration,
        batch_sizes: numbers("--batch_sizes", &sweep.batch_sizes)?,
        num_replicas: numbers("--num_replicas", &sweep.num_replicas)?,
        repeats: sweep.repeats,
        until: sweep.until,
        baseline: !sweep.no_baseline && model.name != "noop",
        dry_run: sweep.dry_run,
        resume: None,
        model_cpus: list("--model_cpus", &cores.model_cpus)?,
        frontend_cpus: list("--frontend_cpus", &cores.frontend_cpus)?,
        client_cpus: list("--client_cpus", &cores.client_cpus)?,
        cpus_per_replica: cores.cpus_per_replica_nums.map_or(Ok(Vec::new()), |nums| {
            numbers("--cpus_per_replica_nums", &nums)
        })?,
        mode,
        load_shares: lists::shares(&load.load_shares),
        num_clients: load.num_clients,
        in_flight: load.in_flight,
        objective: load.slo_ms,
        enforce_objective: load.enforce_slo,
        target_qps: load.target_qps,
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

/// Parses `--gpu_mem_frac`, with the error that clap prints for other flags.
fn gpu_share(text: &str) -> Result<f32, Error> {
    match share(text) {
        Ok(share) => Ok(share as f32),
        Err(why) => Err(Error::Usage(format!(
            "invalid value '{text}' for '--gpu_mem_frac <SHARE>': {why}"
        ))),
    }
}
