//! The model's loop: batches in, predictions out.

use std::{
    io,
    os::{fd::AsRawFd, fd::RawFd, unix::net::UnixStream},
    sync::mpsc,
    thread,
    time::Instant,
};

use anyhow::Context;
use model::{Batch, Model, PredictError, Predictions};
use signal_hook::consts::{SIGINT, SIGTERM};
use transport::{Frame, Wake};
use wire::rpc::{ErrorCode, RequestHead, Times};

use crate::{session::Session, settings::Settings};

/// A batch on its way from the session to the model.
pub(crate) struct Job {
    /// The connection that it came by: predictions for an older one are dropped.
    pub(crate) connection: u64,
    pub(crate) head: RequestHead,
    pub(crate) inputs: Vec<Frame>,
    /// When it came, in microseconds of the session's clock.
    pub(crate) received: u64,
}

/// A batch on its way back.
pub(crate) struct Done {
    pub(crate) connection: u64,
    pub(crate) head: RequestHead,
    pub(crate) predictions: Result<Predictions, Failure>,
    /// All but the last: that is the session's.
    pub(crate) times: Times,
}

/// Why a whole batch has no predictions.
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) text: String,
}

/// What tells a running server to stop.
#[derive(Debug)]
pub struct Stop(UnixStream);

impl Stop {
    /// Stops on SIGTERM and SIGINT.
    ///
    /// # Errors
    /// If the process cannot be told of signals.
    pub fn on_signals() -> io::Result<Stop> {
        let (stop, told) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGTERM, told.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, told)?;
        Ok(Stop(stop))
    }

    /// Stops when the stream's other end is written to or closed.
    pub fn on_stream(stream: UnixStream) -> Stop {
        Stop(stream)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Serves the model from this thread until `stop`; the socket lives on another.
///
/// # Errors
/// If the frontend refuses the model, or the socket fails.
pub fn serve(mut model: impl Model, settings: &Settings, stop: Stop) -> anyhow::Result<()> {
    let wake = Wake::new().context("cannot make an event descriptor")?;
    let (jobs, to_do) = mpsc::channel();
    let (done, finished) = mpsc::channel();
    let clock = Instant::now();
    let info = model.info();
    let mut session = Session::new(settings, info, clock, jobs)?;
    let session_wake = wake.clone();
    let keeper = thread::Builder::new()
        .name("session".into())
        .spawn(move || session.run(&stop, &session_wake, &finished))
        .context("cannot start a thread")?;
    for job in to_do {
        if done
            .send(compute(&mut model, settings, job, clock))
            .is_err()
        {
            break;
        }
        wake.wake();
    }
    keeper
        .join()
        .map_err(|_| anyhow::anyhow!("the thread that keeps the socket panicked"))?
}

fn compute(model: &mut impl Model, settings: &Settings, job: Job, clock: Instant) -> Done {
    let begun = micros(clock);
    let expected = job.inputs.len();
    let predictions = if job.head.input_type == settings.input_type {
        let batch = Batch {
            data_type: job.head.input_type,
            inputs: job.inputs.iter().map(AsRef::as_ref).collect(),
        };
        model.predict(&batch).map_err(|PredictError(text)| Failure {
            code: ErrorCode::ModelFailed,
            text,
        })
    } else {
        Err(Failure {
            code: ErrorCode::BadRequest,
            text: format!(
                "this model server takes {}, not {}",
                settings.input_type, job.head.input_type
            ),
        })
    };
    let predictions = predictions.and_then(|predictions| {
        if predictions.len() == expected {
            return Ok(predictions);
        }
        Err(Failure {
            code: ErrorCode::ModelFailed,
            text: format!("{} outputs to {expected} inputs", predictions.len()),
        })
    });
    Done {
        connection: job.connection,
        head: job.head,
        predictions,
        times: Times {
            received: job.received,
            begun,
            ended: micros(clock),
            sent: 0,
        },
    }
}

/// Microseconds since the session's clock was started.
pub(crate) fn micros(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)
}
