//! The model's loop: batches in, predictions out.

use std::{sync::mpsc, thread, time::Instant};

use model::{Batch, Model, PredictError};
use transport::Waker;
use wire::rpc::{ErrorCode, Times};

use crate::{
    error::Error,
    job::{Done, Failure, Job, micros},
    session::Session,
    settings::Settings,
    stop::Stop,
};

/// Serves the model from this thread until `stop`; the socket lives on another.
///
/// # Errors
/// If the frontend refuses the model, or the socket fails.
pub fn serve(mut model: impl Model, settings: &Settings, stop: Stop) -> Result<(), Error> {
    let wake = Waker::new().map_err(Error::system("cannot make an event descriptor"))?;
    let (jobs, to_do) = mpsc::channel();
    let (done, finished) = mpsc::channel();
    let clock = Instant::now();
    let info = model.info();
    let mut session = Session::new(settings, info, clock, jobs)?;
    let session_wake = wake.clone();
    let keeper = thread::Builder::new()
        .name("session".into())
        .spawn(move || {
            let outcome = session.run(&stop, &session_wake, &finished);
            match session.is_computing() {
                true => stop.leave_the_model(outcome),
                false => outcome,
            }
        })
        .map_err(Error::system("cannot start a thread"))?;
    for job in to_do {
        if done
            .send(compute(&mut model, settings, job, clock))
            .is_err()
        {
            break;
        }
        wake.wake();
    }
    keeper.join().map_err(|_| Error::Panicked)?
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
