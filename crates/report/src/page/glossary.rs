//! Terms of the page, for a first reader.

use maud::{Markup, html};

const TERMS: [(&str, &str); 12] = [
    (
        "point",
        "One configuration: number of replicas, CPUs per replica and maximum batch size. Frontend and replicas were started for it \
      and stopped after it.",
    ),
    (
        "VALID, SUSPECT, INVALID, NOT RUN",
        "VALID: the measurement passed all checks. SUSPECT: a check found a possible disturbance; read the reasons before you \
      use the number. INVALID: the measurement does not hold; do not use the number. NOT RUN: nothing was measured.",
    ),
    (
        "queries/s",
        "Throughput: number of the model's answers that arrived within the measured window, divided by its length. The mode \
      profile measures it in a closed loop, with enough queries in flight to fill every batch.",
    ),
    (
        "latency",
        "Time from the intended sending of a query to its answer. A query that the driver sends late therefore counts in full. \
      Latency is measured at rates below the throughput: under full load it only reflects the number of queries in flight.",
    ),
    (
        "p99",
        "99th percentile of the latency: 99 % of the answers took less.",
    ),
    (
        "overloaded",
        "More queries were sent than the model serves. Their latency would depend on the length of the test, so the report \
      states none. Queries that are unanswered soon after the window are cancelled.",
    ),
    (
        "intervals",
        "95 % confidence intervals. A percentile with too few samples for an interval is not printed.",
    ),
    (
        "max queries/s within SLO",
        "With --slo_ms, a profile searches for the highest rate whose p99 stays within the latency objective (SLO).",
    ),
    (
        "goodput",
        "Answers per second within the SLO, in the phase that the latency is from.",
    ),
    (
        "mean batch",
        "Mean number of queries in a batch. If it is far below the maximum, a larger maximum cannot help, because too few \
      queries were waiting.",
    ),
    (
        "share of baseline",
        "Throughput as a share of the no-op model's in the same configuration. Near 100 %, frontend and protocol are the limit, \
      not the model.",
    ),
    (
        "answered",
        "Number of queries that the model answered, of all that were sent within the measured windows. Default outputs, \
      errors and missing answers count as sent, but not as answered.",
    ),
];

/// Returns the terms with their meanings.
pub(super) fn section() -> Markup {
    html! {
        section id="glossary" {
            h2 { "How to read this" }
            dl { @for (term, meaning) in TERMS { dt { (term) } dd { (meaning) } } }
        }
    }
}
