//! A sweep in one sentence or two.

use results::{
    self, Estimate, Folder, RoundCounts, Rounds, Speed, Status, Trial, median, pareto::Choice,
};

use crate::{
    names::Names,
    text::{estimate, number, plural},
};

/// The model, or the models.
pub(crate) fn title(folder: &Folder) -> String {
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

/// The best that was found: of each combination, the median of the rounds that count.
pub(crate) fn sentence(folder: &Folder, names: &Names) -> String {
    let runs: Vec<_> = folder.results().filter_map(Trial::accuracy).collect();
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
    let results: Vec<_> = folder.results().cloned().collect();
    let points = results::by_config(&results);
    let Some(fastest) = best(points.values(), throughput) else {
        return "No point has a number that may be acted on: the table says why.".to_owned();
    };
    let mut text = format!("At most {}.", fastest.said(names));
    let highest = |speed: &Speed| {
        let value = speed.search.as_ref()?.highest_qps?;
        Some(Estimate {
            value,
            ..Estimate::default()
        })
    };
    if let Some(found) = best(points.values(), highest) {
        let objective = found.first.driver.objective_ms.map(|ms| ms.to_string());
        text.push_str(&format!(
            " The p99 stays within {} ms up to {}.",
            objective.unwrap_or_default(),
            found.said(names)
        ));
    }
    let choice = Choice::of(&results, folder.target_qps);
    if let (Some(_), Some(recommendation)) = (&choice.recommended, choice.lines().first()) {
        text.push_str(&format!(" And {recommendation}."));
    }
    text.push_str(&left_out(points.values(), names));
    text
}

/// The throughput of the first phase.
pub(crate) fn throughput(speed: &Speed) -> Option<Estimate> {
    Some(speed.phases.first()?.throughput)
}

/// What the sweep recommends.
pub(crate) fn choice(folder: &Folder) -> Choice {
    let results: Vec<_> = folder.results().cloned().collect();
    Choice::of(&results, folder.target_qps)
}

/// The combination that a sentence names.
pub(crate) struct Best<'a> {
    /// Its first round that counts.
    pub(crate) first: &'a Trial,
    counts: RoundCounts,
    /// The rates of its rounds that count, ascending.
    rates: Vec<Estimate>,
    /// The median of the rates.
    pub(crate) median: f64,
}

/// The combination whose rate is the highest in the median; only of those where every round that counts has one.
pub(crate) fn best<'a>(
    points: impl Iterator<Item = &'a Rounds<'a>>,
    read: impl Fn(&Speed) -> Option<Estimate>,
) -> Option<Best<'a>> {
    let of = |rounds: &'a Rounds<'a>| {
        let rates = rounds.counted().map(|round| read(round.speed()?));
        let mut rates = rates.collect::<Option<Vec<_>>>()?;
        rates.sort_by(|a, b| a.value.total_cmp(&b.value));
        let values: Vec<_> = rates.iter().map(|rate| rate.value).collect();
        Some(Best {
            first: rounds.counted().next()?,
            counts: rounds.counts(),
            median: median(&values)?,
            rates,
        })
    };
    points
        .filter_map(of)
        .max_by(|a, b| a.median.total_cmp(&b.median))
}

impl Best<'_> {
    /// `101.0 queries/s (median of 2 rounds; 98.0 to 104.0), with 2 × 1 CPU, batch 4`.
    fn said(&self, names: &Names) -> String {
        let rounds = match (&self.rates[..], self.counts.to_string()) {
            ([_], counts) if counts.is_empty() => String::new(),
            ([least, .., most], counts) => {
                let (least, most) = (number(least.value), number(most.value));
                format!(" ({counts}; {least} to {most})")
            }
            (_, counts) => format!(" ({counts})"),
        };
        let rate = match &self.rates[..] {
            [one] => estimate(one),
            _ => number(self.median),
        };
        format!(
            "{rate} queries/s{rounds}, with {}",
            names.combination(&self.first.node_configs[0])
        )
    }
}

/// What no number here is of, and why.
fn left_out<'a>(points: impl Iterator<Item = &'a Rounds<'a>>, names: &Names) -> String {
    let mut counts = RoundCounts::default();
    points.for_each(|rounds| counts.add(rounds.counts()));
    let thing = if names.rounds { "round" } else { "point" };
    let total = counts.total();
    counts.left_out().map_or(String::new(), |kinds| {
        let left_out = total - counts.counted;
        format!(
            " Left out: {left_out} of {total} {} ({kinds}).",
            plural(total, thing)
        )
    })
}

/// How many points have which verdict.
pub(crate) fn counts(folder: &Folder) -> [(Status, usize); 3] {
    [Status::Valid, Status::Suspect, Status::Invalid].map(|status| {
        let of = folder
            .results()
            .filter(|result| result.verdict.status == status);
        (status, of.count())
    })
}
