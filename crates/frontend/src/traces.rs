//! Spans of queries, for tracing tools: one line of OTLP's JSON per query, as the OpenTelemetry Collector's file receiver
//! reads it.
//!
//! `query` is the whole; `queue` and `replica` are its parts, `wait`, `predict` and `reply` those of `replica`. A model server
//! states durations, not times: its spans lie in the middle of `replica`, and what is left on both sides is the way there
//! and back.

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
    worker::Worker,
};

/// Queries that may wait to be written; beyond that, spans are lost.
const WAITING: usize = 65_536;

/// The engine's end: which queries are traced.
#[derive(Debug)]
pub(crate) struct Traces {
    /// `None` if no query is traced. Dropping it waits until what is waiting has been written.
    writer: Option<Worker<SyncSender<Traced>>>,
    /// One query in so many.
    every: u64,
    seen: u64,
}

/// A query to write.
#[derive(Debug)]
struct Traced {
    app: String,
    status: QueryStatus,
    timeline: Timeline,
}

impl Traces {
    /// None.
    pub(crate) fn off() -> Traces {
        Traces {
            writer: None,
            every: 1,
            seen: 0,
        }
    }

    /// One query in `every`, to a new file; `started` is the Unix time at which the engine's clock began.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn to(file: &Path, every: u64, started: Duration) -> Result<Traces, Error> {
        let out = File::create(file).map_err(|error| Error::Traces {
            file: file.to_owned(),
            error,
        })?;
        let (writer, queries) = sync_channel(WAITING);
        let run = move || write(&queries, out, started);
        Ok(Traces {
            writer: Some(Worker::spawn("traces", writer, run)?),
            every: every.max(1),
            seen: 0,
        })
    }

    /// A query ended.
    pub(crate) fn query(&mut self, app: &str, result: &QueryResult<'_>) {
        let Some(writer) = &self.writer else { return };
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        // A writer that is behind loses it: the engine waits for nobody.
        let _ = writer.stop_handle().try_send(Traced {
            app: app.to_owned(),
            status: result.status.clone(),
            timeline: result.timeline,
        });
    }
}

fn write(queries: &Receiver<Traced>, out: File, started: Duration) {
    let mut out = BufWriter::new(out);
    while let Ok(first) = queries.recv() {
        let mut waiting = std::iter::once(first).chain(queries.try_iter());
        let written = waiting.try_for_each(|query| writeln!(out, "{}", query.to_json(started)));
        if let Err(error) = written.and_then(|()| out.flush()) {
            tracing::error!("no more traces: {error}");
            return;
        }
    }
}

impl Traced {
    fn to_json(&self, started: Duration) -> Value {
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
            let nanos = |time: Duration| (started + time).as_nanos().to_string();
            json!({
                "traceId": trace, "spanId": id, "parentSpanId": parent, "name": name, "kind": 1,
                "startTimeUnixNano": nanos(begin), "endTimeUnixNano": nanos(end),
            })
        };
        let mut query = span("query", &root, "", [arrived, answered]);
        query["kind"] = json!(2); // a server's
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
    use crate::timeline::Served;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_query_is_a_line_whose_spans_lie_inside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("traces");
        let mut traces = Traces::to(&file, 2, ms(1_000)).unwrap();
        let failed = QueryStatus::Failed("model failed: no".into());
        let timeline = Timeline {
            batch_sent: Some(ms(20)),
            served: Some(Served {
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
