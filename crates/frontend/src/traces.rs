//! Writes spans of queries for tracing tools: one line of OTLP's JSON per query, as the
//! OpenTelemetry Collector's file receiver reads it.
//!
//! The span `query` has the children `queue` and `replica`; `replica` has the children `wait`,
//! `predict` and `reply`. A model server states durations, not points in time. Its spans are
//! centred in `replica`; the rest on both sides is the way there and back.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    error::Error,
    query_result::{QueryResult, QueryStatus},
    timeline::Timeline,
    worker::WorkerThread,
};

/// Maximum number of queries that wait to be written; further ones are not traced.
const MAX_QUEUED: usize = 65_536;

/// Selects the queries that are traced, and passes them to the writer thread.
#[derive(Debug)]
pub(crate) struct Traces {
    /// `None` if no query is traced. Dropping it waits until all queued queries are written.
    writer: Option<WorkerThread<SyncSender<TracedQuery>>>,
    /// One query in `every` is traced.
    every: u64,
    /// Number of queries so far, traced or not.
    seen: u64,
}

/// A query that is to be written.
#[derive(Debug)]
struct TracedQuery {
    app: String,
    status: QueryStatus,
    timeline: Timeline,
}

impl Traces {
    /// Traces no query.
    pub(crate) fn off() -> Traces {
        Traces {
            writer: None,
            every: 1,
            seen: 0,
        }
    }

    /// Traces one query in `every` to a new file; `clock_start` is the time at which the engine's
    /// clock started, since the Unix epoch.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn to_file(file: &Path, every: u64, clock_start: Duration) -> Result<Traces, Error> {
        let out = File::create(file).map_err(|error| Error::Traces {
            file: file.to_owned(),
            error,
        })?;
        let (writer, queries) = sync_channel(MAX_QUEUED);
        let run = move || write(&queries, out, clock_start);
        Ok(Traces {
            writer: Some(WorkerThread::spawn("traces", writer, run)?),
            every: every.max(1),
            seen: 0,
        })
    }

    /// Traces a query that has ended, if it is selected.
    pub(crate) fn query(&mut self, app: &str, result: &QueryResult<'_>) {
        let Some(writer) = &self.writer else { return };
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        // If the writer is behind, the query is not traced: the engine must not wait.
        let _ = writer.stop_handle().try_send(TracedQuery {
            app: app.to_owned(),
            status: result.status.clone(),
            timeline: result.timeline,
        });
    }
}

fn write(queries: &Receiver<TracedQuery>, out: File, clock_start: Duration) {
    let mut out = BufWriter::new(out);
    while let Ok(first) = queries.recv() {
        let mut queued = std::iter::once(first).chain(queries.try_iter());
        let written = queued.try_for_each(|query| writeln!(out, "{}", query.to_json(clock_start)));
        if let Err(error) = written.and_then(|()| out.flush()) {
            tracing::error!("cannot write the trace file: {error}; no more queries are traced");
            return;
        }
    }
}

impl TracedQuery {
    fn to_json(&self, clock_start: Duration) -> Value {
        let Timeline {
            arrived, answered, ..
        } = self.timeline;
        let timing = self.timeline.timing();
        let trace = format!("{:032x}", rand::random::<u128>());
        let root = span_id();
        let status = match &self.status {
            QueryStatus::Ok => json!({ "code": 1 }),
            other => json!({ "code": 2, "message": other.reason() }),
        };
        let span = |name: &str, id: &str, parent: &str, [begin, end]: [Duration; 2]| {
            let nanos = |time: Duration| (clock_start + time).as_nanos().to_string();
            json!({
                "traceId": trace, "spanId": id, "parentSpanId": parent, "name": name, "kind": 1,
                "startTimeUnixNano": nanos(begin), "endTimeUnixNano": nanos(end),
            })
        };
        let mut query = span("query", &root, "", [arrived, answered]);
        query["kind"] = json!(2); // SPAN_KIND_SERVER
        query["status"] = status;
        query["attributes"] = json!([
            { "key": "app", "value": { "stringValue": self.app } },
            { "key": "batch_size", "value": { "intValue": timing.batch_size.to_string() } },
            { "key": "replica", "value": { "intValue": timing.replica_id.to_string() } },
        ]);
        let mut spans = vec![query];
        let sent = self.timeline.sent();
        let queued = sent.unwrap_or(answered);
        spans.push(span("queue", &span_id(), &root, [arrived, queued]));
        if let Some(sent) = sent {
            let replica = span_id();
            spans.push(span("replica", &replica, &root, [sent, answered]));
            let parts = [
                ("wait", timing.waited),
                ("predict", timing.predicting),
                ("reply", timing.replying),
            ];
            let parts = parts.map(|(name, micros)| (name, Duration::from_micros(micros)));
            let inside = parts.iter().map(|(_, took)| *took).sum();
            let mut begin = sent + (answered - sent).saturating_sub(inside) / 2;
            for (name, took) in parts {
                spans.push(span(name, &span_id(), &replica, [begin, begin + took]));
                begin += took;
            }
        }
        let service = json!({ "key": "service.name", "value": { "stringValue": "frontend" } });
        json!({ "resourceSpans": [{
            "resource": { "attributes": [service] },
            "scopeSpans": [{ "scope": { "name": "frontend" }, "spans": spans }],
        }] })
    }
}

fn span_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use wire::rpc::{Times, Version};

    use super::*;
    use crate::timeline::ReplicaResponse;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_query_is_one_line_of_nested_spans() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("traces");
        let mut traces = Traces::to_file(&file, 2, ms(1_000)).unwrap();
        let failed = QueryStatus::Failed("model failed: no".into());
        let timeline = Timeline {
            batch_sent: Some(ms(20)),
            served: Some(ReplicaResponse {
                replica_id: 1,
                dialect: Version::V4,
                batch_size: 3,
                times: Some(Times {
                    received: 0,
                    begun: 1_000,
                    ended: 6_000,
                    sent: 8_000,
                }),
            }),
            ..Timeline::unsent(ms(10), ms(30))
        };
        let result = QueryResult::without_output(failed, b"", timeline);
        (0..3).for_each(|_| traces.query("a", &result));
        drop(traces);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        let spans = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap();
        let times: Vec<(&str, &str, &str)> = spans
            .iter()
            .map(|span| {
                let text = |key: &str| span[key].as_str().unwrap();
                (
                    text("name"),
                    text("startTimeUnixNano"),
                    text("endTimeUnixNano"),
                )
            })
            .collect();
        let expected = [
            ("query", "1010000000", "1030000000"),
            ("queue", "1010000000", "1020000000"),
            ("replica", "1020000000", "1030000000"),
            ("wait", "1021000000", "1022000000"),
            ("predict", "1022000000", "1027000000"),
            ("reply", "1027000000", "1029000000"),
        ];
        assert_eq!(times, expected);
        assert_eq!(spans[0]["status"]["message"], "model failed: no");
        assert_eq!(spans[1]["parentSpanId"], spans[0]["spanId"]);
        assert_eq!(spans[4]["parentSpanId"], spans[2]["spanId"]);
        assert!(
            spans
                .iter()
                .all(|span| span["traceId"] == spans[0]["traceId"])
        );
    }
}
