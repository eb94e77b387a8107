//! The model's loop: receives batches and returns predictions.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Instant,
};

use model::{Batch, Model, PredictError, Predictions};
use transport::Waker;
use wire::rpc::{ErrorCode, OUT_OF_MEMORY, Times};

use crate::{
    error::Error,
    job::{BatchFailure, BatchJob, BatchResult, micros},
    session::Session,
    settings::Settings,
    stop::Stop,
};

/// Texts by which engines report that memory could not be allocated: ONNX Runtime, libtorch on a
/// CPU, cuBLAS and cuDNN, C++. The texts of CUDA contain [`OUT_OF_MEMORY`].
const ALLOCATION_FAILURES: [&str; 4] = [
    "failed to allocate memory",
    "can't allocate memory",
    "status_alloc_failed",
    "std::bad_alloc",
];

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

/// Runs the model on a batch. A panic fails the batch alone.
fn predict(model: &mut impl Model, batch: &Batch<'_>) -> Result<Predictions, BatchFailure> {
    // The panic may leave the model in an inconsistent state. That is accepted: models keep no
    // results between batches, and the frontend ejects a replica that goes on to fail.
    let predictions = catch_unwind(AssertUnwindSafe(|| model.predict(batch)));
    let text = match predictions {
        Ok(Ok(predictions)) => return Ok(predictions),
        Ok(Err(PredictError(text))) => text,
        Err(panic) => format!("model panicked: {}", panic_message(&*panic)),
    };
    Err(BatchFailure {
        code: ErrorCode::ModelFailed,
        text: mark_out_of_memory(text),
    })
}

/// Returns the message of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Adds the words by which the frontend recognises that the model ran out of memory, if the model's
/// error says so in others.
fn mark_out_of_memory(text: String) -> String {
    let lower = text.to_ascii_lowercase();
    let says = |words: &&str| lower.contains(*words);
    match !says(&OUT_OF_MEMORY) && ALLOCATION_FAILURES.iter().any(says) {
        true => format!("{OUT_OF_MEMORY}: {text}"),
        false => text,
    }
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
        predict(model, &batch)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_errors_of_engines_out_of_memory() {
        for (text, marked) in [
            (
                "Failed to allocate memory for requested buffer of size 64",
                true,
            ),
            ("CUBLAS_STATUS_ALLOC_FAILED", true),
            ("CUDA error: Out of Memory", false),
            ("an input has the wrong length", false),
        ] {
            let expected = match marked {
                true => format!("out of memory: {text}"),
                false => text.to_owned(),
            };
            assert_eq!(mark_out_of_memory(text.to_owned()), expected);
        }
    }
}
