//! Passes a simulated load to the statistics of a measurement, as clients would.

use std::time::{Duration, Instant};

use loadgen::{
    Arrivals, Load, LoadResult, Target, WindowOpening,
    stats::{Span, Tally},
};
use model::DataType;
use results::{Phase, PhaseKind, Trial, VerdictStatus, checks, fixture};
use wire::query::{Answer, AnswerStatus, Lineage, Timing};

use crate::server::SimulatedQuery;

/// Load on a simulated server, whose queries are counted as they come.
pub struct Observation {
    began: Instant,
    span: Span,
    tally: Tally,
    rate: f64,
    objective: Option<Duration>,
}

impl Observation {
    /// Creates the counts of a load at `rate` queries a second, with a window of `seconds` after
    /// `warm_up` seconds.
    pub fn new(rate: f64, warm_up: f64, seconds: f64, objective: Option<Duration>) -> Observation {
        let began = Instant::now();
        let opens = began + Duration::from_secs_f64(warm_up);
        let span = Span::new(opens, opens + Duration::from_secs_f64(seconds));
        Observation {
            began,
            span,
            tally: Tally::new(objective),
            rate,
            objective,
        }
    }

    /// Counts a query and its answer.
    pub fn count(&mut self, query: SimulatedQuery) {
        let sent = self.began + Duration::from_secs_f64(query.at);
        let answered = sent + Duration::from_secs_f64(query.latency);
        let of = self.tally.sent(&self.span, sent, sent);
        self.tally.answered(&self.span, of, answered, &ANSWER);
    }

    /// Returns the phase that a driver would report.
    pub fn phase(self, kind: PhaseKind) -> Phase {
        let load = load(Arrivals::poisson(self.rate), self.objective, self.began);
        let mut tally = self.tally;
        tally.warm_up.seconds = (self.span.opens - self.began).as_secs_f64();
        tally.totals.seconds = self.span.length().as_secs_f64();
        let mut measured = LoadResult {
            tally,
            span: self.span,
            steady: true,
            overloaded: false,
            busiest_thread: 0.0,
        };
        Phase::read(kind, &load, &mut measured)
    }
}

/// Returns true if a trial is VALID in which all but its latency phase is sound.
pub fn is_valid(latency: Phase) -> bool {
    let mut trial: Trial = fixture::profiled();
    trial.resources = None;
    fixture::speed(&mut trial).phases[1] = latency;
    checks::judge(&trial).status == VerdictStatus::Valid
}

const ANSWER: Answer<'static> = Answer {
    session: 0,
    request_id: 0,
    status: AnswerStatus::Ok,
    reason: "",
    output_type: DataType::Bytes,
    output: &[],
    timing: Timing {
        batch_size: 1,
        replica_id: 0,
        queued: 0,
        away: 0,
        waited: 0,
        predicting: 0,
        replying: 0,
    },
    lineage: Lineage {
        arrived: 0,
        sent: None,
        container: None,
        answered: 0,
    },
};

fn load(arrivals: Arrivals, objective: Option<Duration>, trial_start: Instant) -> Load<'static> {
    Load {
        target: Target {
            answers: String::new(),
            requests: String::new(),
            app: "app",
            input_type: DataType::Bytes,
        },
        arrivals,
        send_once: false,
        seed: 0,
        cores: None,
        clients: 1,
        duration: Duration::ZERO,
        opening: WindowOpening::Immediate,
        precision: None,
        answer_timeout: Duration::ZERO,
        objective,
        trial_start,
    }
}
