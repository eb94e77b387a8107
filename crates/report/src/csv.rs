//! `summary.csv`: one row per point and phase, for spreadsheets and scripts.

use results::{Estimate, Filed, Folder, Outcome, Phase, Speed, Totals, Trial};
use serde::Serialize;

/// A phase of a point, or a point without one. Empty is what there is not.
#[derive(Debug, Default, Serialize)]
struct Row<'a> {
    file: &'a str,
    model: &'a str,
    replicas: usize,
    cpus_per_replica: usize,
    gpus: usize,
    batch_size: usize,
    round: usize,
    verdict: String,
    /// The checks that speak against it, by spaces.
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
    zero_qps: Option<f64>,
    right: Option<u64>,
    of: Option<u64>,
    right_offline: Option<u64>,
}

/// The whole file.
pub(crate) fn csv(folder: &Folder) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for filed in folder.points.iter().chain(&folder.zeros) {
        match filed.result.speed() {
            Some(speed) => {
                for phase in &speed.phases {
                    writer.serialize(of_phase(filed, speed, phase))?;
                }
            }
            None => writer.serialize(of_point(filed, &filed.result.totals))?,
        }
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

/// What all phases of a point have in common, and the totals of one or of all.
fn of_point<'a>(filed: &'a Filed, totals: &Totals) -> Row<'a> {
    let Trial { verdict, round, .. } = &filed.result;
    let node = &filed.result.node_configs[0];
    let checks: Vec<_> = verdict
        .reasons
        .iter()
        .map(|reason| reason.check.as_str())
        .collect();
    let accuracy = filed.result.accuracy();
    Row {
        file: &filed.file,
        model: &node.name,
        replicas: node.num_replicas,
        cpus_per_replica: node.cpus_per_replica,
        gpus: node.gpus.len(),
        batch_size: node.batch_size,
        round: *round,
        verdict: verdict.status.to_string(),
        reasons: checks.join(" "),
        not_run: match &filed.result.outcome {
            Outcome::NotRun { not_run } => not_run,
            Outcome::Speed(_) | Outcome::Accuracy { .. } => "",
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
        ..Row::default()
    }
}

fn of_phase<'a>(filed: &'a Filed, speed: &'a Speed, phase: &'a Phase) -> Row<'a> {
    let latency = phase.latency.as_ref();
    let percentile = |quantile| Some(latency?.percentile(quantile)?.ms);
    let value = |quantile| percentile(quantile).map(|ms: Estimate| ms.value);
    let low = |quantile| percentile(quantile)?.low;
    let high = |quantile| percentile(quantile)?.high;
    let time = phase.time_breakdown;
    Row {
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
        zero_qps: speed.zero.as_ref().map(|zero| zero.throughput_qps),
        ..of_point(filed, &phase.totals)
    }
}
