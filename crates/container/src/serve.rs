//! The model's loop: receives batches and returns predictions.

use std::{sync::mpsc, thread, time::Instant};

use model::{Batch, Model, PredictError};
use transport::Waker;
use wire::rpc::{ErrorCode, Times};

use crate::{
    error::Error,
    job::{BatchFailure, BatchJob, BatchResult, micros},
    session::Session,
    settings::Settings,
    stop::Stop,
};

/// Serves the model on the calling thread until `stop`; a second thread owns the socket.
///
/// # Errors
/// If the frontend refuses the model, or the socket fails.
pub fn serve(mut model: impl Model, settings: &Settings, stop: Stop) -> Result<(), Error> {
    let wake = Waker::new().map_err(Error::system("cannot create an event descriptor"))?;
    let (jobs, queued) = mpsc::channel();
    let (done, finished) = mpsc::channel();
    let clock = Instant::now();
    let info = model.info();
    let mut session = Session::new(settings, info, clock, jobs)?;
    let session_wake = wake.clone();
    let session_thread = thread::Builder::new()
        .name("session".into())
        .spawn(move || {
            let outcome = session.run(&stop, &session_wake, &finished);
            match session.is_computing() {
                true => stop.abandon_model(outcome),
                false => outcome,
            }
        })
        .map_err(Error::system("cannot start a thread"))?;
    for job in queued {
        if done
            .send(compute(&mut model, settings, job, clock))
            .is_err()
        {
            break;
        }
        wake.wake();
    }
    session_thread.join().map_err(|_| Error::Panicked)?
}

fn compute(
    model: &mut impl Model,
    settings: &Settings,
    job: BatchJob,
    clock: Instant,
) -> BatchResult {
    let begun = micros(clock);
    let expected = job.inputs.len();
    let predictions = if job.head.input_type == settings.input_type {
        let batch = Batch {
            data_type: job.head.input_type,
            inputs: job.inputs.iter().map(AsRef::as_ref).collect(),
        };
        model
            .predict(&batch)
            .map_err(|PredictError(text)| BatchFailure {
                code: ErrorCode::ModelFailed,
                text,
            })
    } else {
        Err(BatchFailure {
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
        Err(BatchFailure {
            code: ErrorCode::ModelFailed,
            text: format!("{} outputs for {expected} inputs", predictions.len()),
        })
    });
    BatchResult {
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
