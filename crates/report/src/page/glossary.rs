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
        "VALID: no check speaks against the number. SUSPECT: the number is of what was measured, but read the reasons \
      before you act on it. INVALID: the number is not of what was to be measured; it is no result. NOT RUN: nothing was measured.",
    ),
    (
        "queries/s",
        "Throughput: answers by the model that arrived within the measured window, divided by its length, in a closed loop with \
      enough queries in flight to fill every batch. It is not a mean of rates.",
    ),
    (
        "latency",
        "From the intended time of sending until the answer, so that a late driver hides nothing. At rates below the \
      throughput: under full load it only shows how many queries are in flight.",
    ),
    (
        "p99",
        "99th percentile of the latency: 99 % of the answers took less.",
    ),
    (
        "overloaded",
        "More queries were sent than the model serves. Their latency depends on how long the test runs, so none is stated; \
      queries without an answer soon after the window are cancelled.",
    ),
    (
        "intervals",
        "95 % confidence intervals. A percentile without enough samples for one is not printed.",
    ),
    (
        "max queries/s within SLO",
        "With --slo_ms, a profile searches for the highest rate whose p99 stays within the latency objective (SLO).",
    ),
    (
        "goodput",
        "Answers per second that arrived within the SLO, in the phase that the latency is from.",
    ),
    (
        "mean batch",
        "If it is far below the maximum, a larger maximum batch size cannot help: too few queries were waiting.",
    ),
    (
        "share of baseline",
        "Throughput as a share of the no-op model's in the same configuration. Near 100 %, frontend and protocol are the limit, \
      not the model.",
    ),
    (
        "answered",
        "Queries that the model answered, of those that were sent within the measured windows. Default outputs, errors \
      and queries without an answer are counted, but are not answers.",
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
