//! A sweep in one sentence or two.

use super::names::{Names, estimate, number, plural};
use crate::choice::Choice;
use crate::results::{Folder, PointResult, Speed, Status};

/// The model, or the models.
pub(super) fn title(folder: &Folder) -> String {
    let mut models: Vec<_> = folder
        .results()
        .map(|r| r.node_configs[0].name.as_str())
        .collect();
    models.dedup();
    let count = folder.points.len();
    let what = match folder.results().all(|result| result.accuracy().is_some()) {
        true => plural(count, "accuracy run"),
        false => plural(count, "point"),
    };
    format!("{}: {count} {what}", models.join(", "))
}

/// The best that was found.
pub(super) fn sentence(folder: &Folder, names: &Names) -> String {
    let runs: Vec<_> = folder.results().filter_map(PointResult::accuracy).collect();
    if !runs.is_empty() {
        let share = |pick: fn(f64, f64) -> f64| {
            runs.iter()
                .map(|run| run.share)
                .reduce(pick)
                .unwrap_or_default()
        };
        let (low, high) = (number(1e2 * share(f64::min)), number(1e2 * share(f64::max)));
        let range = if low == high {
            low
        } else {
            format!("{low} to {high}")
        };
        return format!(
            "{range} % of the answers were right. These are counts of right answers; no speed was measured."
        );
    }
    let speeds = || sound(folder);
    let Some((result, speed)) =
        speeds().max_by(|a, b| a.1.throughput_qps.total_cmp(&b.1.throughput_qps))
    else {
        return "No point has a number that may be acted on: the table says why.".to_owned();
    };
    let mut text = format!(
        "At most {} queries/s, with {}.",
        estimate(&speed.phases[0].throughput),
        names.point(result)
    );
    let searched = speeds().filter_map(|(result, speed)| {
        let search = speed.search.as_ref()?;
        Some((search.highest_qps?, search.objective_ms, result))
    });
    if let Some((rate, objective, result)) = searched.max_by(|a, b| a.0.total_cmp(&b.0)) {
        text.push_str(&format!(
            " The p99 stays within {} ms up to {} queries/s, with {}.",
            objective,
            number(rate),
            names.point(result)
        ));
    }
    let choice = choice(folder);
    if let (Some(_), Some(recommendation)) = (&choice.recommended, choice.lines().first()) {
        text.push_str(&format!(" And {recommendation}."));
    }
    text
}

/// What the sweep recommends.
pub(super) fn choice(folder: &Folder) -> Choice {
    let results: Vec<_> = folder.results().cloned().collect();
    Choice::of(&results, folder.target_qps)
}

/// The speeds that are of what was asked for.
fn sound(folder: &Folder) -> impl Iterator<Item = (&PointResult, &Speed)> {
    let sound = folder
        .results()
        .filter(|result| result.verdict.status != Status::Invalid);
    sound.filter_map(|result| Some((result, result.speed()?)))
}

/// How many points have which verdict.
pub(super) fn counts(folder: &Folder) -> [(Status, usize); 3] {
    [Status::Valid, Status::Suspect, Status::Invalid].map(|status| {
        let of = folder
            .results()
            .filter(|result| result.verdict.status == status);
        (status, of.count())
    })
}
