//! `summary.csv`: one row per trial and phase, for spreadsheets and scripts.

use results::{Estimate, Folder, Phase, Speed, Totals, Trial, TrialFile, TrialOutcome};
use serde::Serialize;

/// Record of a phase, or of a trial without one. A missing value is empty.
#[derive(Debug, Default, Serialize)]
struct CsvRecord<'a> {
    file: &'a str,
    model: &'a str,
    replicas: usize,
    cpus_per_replica: usize,
    gpus: usize,
    batch_size: usize,
    round: usize,
    verdict: String,
    /// Checks that speak against the numbers, separated by spaces.
    reasons: String,
    not_run: &'a str,
    mode: &'a str,
    phase: &'a str,
    offered_qps: Option<f64>,
    in_flight: Option<usize>,
    steady: Option<bool>,
    overloaded: Option<bool>,
    seconds: f64,
    sent: u64,
    ok: u64,
    default: u64,
    timeout: u64,
    error: u64,
    cancelled: u64,
    throughput_qps: Option<f64>,
    throughput_low: Option<f64>,
    throughput_high: Option<f64>,
    goodput_qps: Option<f64>,
    max_qps_within_slo: Option<f64>,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p50_low: Option<f64>,
    p50_high: Option<f64>,
    p90_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    p99_low: Option<f64>,
    p99_high: Option<f64>,
    p999_ms: Option<f64>,
    max_ms: Option<f64>,
    lag_p99_ms: Option<f64>,
    mean_in_flight: Option<f64>,
    mean_batch: Option<f64>,
    batches: Option<f64>,
    queued_us: Option<f64>,
    away_us: Option<f64>,
    waited_us: Option<f64>,
    predicting_us: Option<f64>,
    replying_us: Option<f64>,
    baseline_qps: Option<f64>,
    right: Option<u64>,
    of: Option<u64>,
    right_offline: Option<u64>,
}

/// Returns the content of the file.
pub(crate) fn csv(folder: &Folder) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for filed in folder.trials.iter().chain(&folder.baselines) {
        match filed.trial.speed() {
            Some(speed) => {
                for phase in &speed.phases {
                    writer.serialize(phase_record(filed, speed, phase))?;
                }
            }
            None => writer.serialize(trial_record(filed, &filed.trial.totals))?,
        }
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

/// Fills what the phases of a trial have in common, and the totals of a phase or of the trial.
fn trial_record<'a>(filed: &'a TrialFile, totals: &Totals) -> CsvRecord<'a> {
    let Trial { verdict, round, .. } = &filed.trial;
    let node = &filed.trial.node_configs[0];
    let checks: Vec<_> = verdict
        .reasons
        .iter()
        .map(|reason| reason.check.as_str())
        .collect();
    let accuracy = filed.trial.accuracy();
    CsvRecord {
        file: &filed.file,
        model: &node.name,
        replicas: node.num_replicas,
        cpus_per_replica: node.cpus_per_replica,
        gpus: node.gpus.len(),
        batch_size: node.batch_size,
        round: *round,
        verdict: verdict.status.to_string(),
        reasons: checks.join(" "),
        not_run: match &filed.trial.outcome {
            TrialOutcome::NotRun { not_run } => not_run,
            TrialOutcome::Speed(_) | TrialOutcome::Accuracy { .. } => "",
        },
        seconds: totals.seconds,
        sent: totals.sent,
        ok: totals.ok,
        default: totals.default,
        timeout: totals.timeout,
        error: totals.error,
        cancelled: totals.cancelled,
        right: accuracy.map(|run| run.served.right),
        of: accuracy.map(|run| run.served.of),
        right_offline: accuracy.and_then(|run| Some(run.offline?.right)),
        ..CsvRecord::default()
    }
}

/// Fills the record of a phase.
fn phase_record<'a>(filed: &'a TrialFile, speed: &'a Speed, phase: &'a Phase) -> CsvRecord<'a> {
    let latency = phase.latency.as_ref();
    let percentile = |quantile| Some(latency?.percentile(quantile)?.ms);
    let value = |quantile| percentile(quantile).map(|ms: Estimate| ms.value);
    let low = |quantile| percentile(quantile)?.low;
    let high = |quantile| percentile(quantile)?.high;
    let time = phase.time_breakdown;
    CsvRecord {
        mode: &speed.mode,
        phase: phase.kind.name(),
        offered_qps: phase.offered_qps(),
        in_flight: phase.arrivals.in_flight(),
        steady: Some(phase.steady),
        overloaded: Some(phase.overloaded),
        throughput_qps: Some(phase.throughput.value),
        throughput_low: phase.throughput.low,
        throughput_high: phase.throughput.high,
        goodput_qps: phase.goodput_qps,
        max_qps_within_slo: speed.search.as_ref().and_then(|search| search.highest_qps),
        mean_ms: latency.map(|latency| latency.mean),
        p50_ms: value(0.5),
        p50_low: low(0.5),
        p50_high: high(0.5),
        p90_ms: value(0.9),
        p95_ms: value(0.95),
        p99_ms: value(0.99),
        p99_low: low(0.99),
        p99_high: high(0.99),
        p999_ms: value(0.999),
        max_ms: latency.map(|latency| latency.max),
        lag_p99_ms: phase.lag.map(|lag| lag.p99),
        mean_in_flight: Some(phase.mean_in_flight),
        mean_batch: phase.mean_batch,
        batches: Some(phase.batches),
        queued_us: time.map(|time| time.queued),
        away_us: time.map(|time| time.away),
        waited_us: time.map(|time| time.waited),
        predicting_us: time.map(|time| time.predicting),
        replying_us: time.map(|time| time.replying),
        baseline_qps: speed
            .baseline
            .as_ref()
            .map(|baseline| baseline.throughput_qps),
        ..trial_record(filed, &phase.totals)
    }
}
