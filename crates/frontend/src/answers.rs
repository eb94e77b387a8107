//! The way of answers from the engine to the HTTP threads: those of one turn of its loop together, with one wake-up.

use model::DataType;
use tokio::sync::mpsc;
use wire::query::Timing;

use crate::outcome::{Ended, Outcome};

/// The engine's answer to a query.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) ticket: u64,
    pub(crate) ended: Ended,
    pub(crate) output_type: DataType,
    /// Elements as on the wire: the model's, or the application's default output as text.
    pub(crate) output: Vec<u8>,
    pub(crate) timing: Timing,
}

impl Answered {
    pub(crate) fn new(ticket: u64, outcome: &Outcome<'_>) -> Answered {
        Answered {
            ticket,
            ended: outcome.ended.clone(),
            output_type: outcome.output_type,
            output: outcome.output.to_vec(),
            timing: outcome.timing,
        }
    }
}

/// The engine's end: where it puts answers.
#[derive(Clone, Debug)]
pub(crate) struct Answers(mpsc::UnboundedSender<Vec<Answered>>);

impl Answers {
    /// Both ends of the way back.
    pub(crate) fn channel() -> (Answers, mpsc::UnboundedReceiver<Vec<Answered>>) {
        let (answers, answered) = mpsc::unbounded_channel();
        (Answers(answers), answered)
    }

    /// With nobody at the other end the process is about to end.
    pub(crate) fn hand_over(&self, answered: Vec<Answered>) {
        let _ = self.0.send(answered);
    }
}
