//! The load generator for REST: wrk, from Debian's packages.

use std::{fmt::Write as _, process::Command};

use anyhow::Context;

use crate::running::Rate;

/// Measures a closed loop of posts with `floats` floats each. With `null` the requests go to a path
/// whose handler does nothing, which gives the limit of wrk.
pub(crate) fn measure(
    server: &str,
    floats: usize,
    connections: usize,
    seconds: u64,
    null: bool,
) -> anyhow::Result<Rate> {
    let numbers = (0..floats).map(|n| format!("{:.6}", (n as f32).sin()));
    let numbers: Vec<String> = numbers.collect();
    let mut script = String::from("wrk.method = 'POST'\n");
    writeln!(script, "wrk.body = '{{\"input\":[{}]}}'", numbers.join(","))?;
    let file = std::env::temp_dir().join(format!("wrk-{}.lua", std::process::id()));
    std::fs::write(&file, script)?;
    let path = if null { "null" } else { "noop/predict" };
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(&file)
        .arg(format!("{server}/{path}"))
        .output()
        .context("cannot start wrk: run `make setup`")?;
    std::fs::remove_file(&file)?;
    let text = String::from_utf8(output.stdout)?;
    anyhow::ensure!(
        !text.contains("Non-2xx"),
        "requests failed; wrk printed:\n{text}"
    );
    let value_after = |name: &str| {
        let mut words = text.split_whitespace().skip_while(|word| *word != name);
        words
            .nth(1)
            .with_context(|| format!("wrk printed no {name}:\n{text}"))
    };
    Ok(Rate {
        per_second: value_after("Requests/sec:")?.parse()?,
        mean_batch: f64::NAN,
        p50_ms: millis(value_after("50%")?)?,
        p99_ms: millis(value_after("99%")?)?,
    })
}

/// Parses a duration of wrk, such as `1.5ms`.
fn millis(text: &str) -> anyhow::Result<f64> {
    let number = text.trim_end_matches(|letter: char| letter.is_alphabetic());
    let scale = match &text[number.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        unit => anyhow::bail!("unknown unit of wrk: {unit}"),
    };
    Ok(number.parse::<f64>()? * scale)
}
