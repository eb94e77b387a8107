//! Threads that share a batch. Each has its own model, because LightGBM's `Booster` stays on the
//! thread that loads it.
//!
//! LightGBM itself would use OpenMP, whose threads spin while they wait for each other: a small
//! batch then takes milliseconds if a core is busy otherwise. Here no thread waits for one that has
//! not started.

use std::{
    iter,
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use lightgbm3::{Booster, DType};
use model::{Batch, InputError, Numeric, Output, PredictError, Predictions};
use serde_json::json;

/// Type of features and scores, float32 or float64; rows are passed to LightGBM without conversion.
pub(crate) trait FeatureFloat: DType + Numeric + Default + Send + 'static {
    /// Converts scores to an output of this precision.
    fn output(scores: Vec<f64>) -> Output;
}

impl FeatureFloat for f32 {
    fn output(scores: Vec<f64>) -> Output {
        Output::Floats(scores.into_iter().map(|score| score as f32).collect())
    }
}

impl FeatureFloat for f64 {
    fn output(scores: Vec<f64>) -> Output {
        Output::Doubles(scores)
    }
}

/// The model, on the calling thread and on helper threads.
pub(crate) struct Workers<T> {
    booster: Booster,
    /// Number of features of one row.
    width: usize,
    /// Number of helper threads.
    helpers: usize,
    /// Both ends of the helpers' queue: the calling thread computes the blocks that they leave.
    queue: Sender<RowBlock<T>>,
    waiting: Receiver<RowBlock<T>>,
    /// Number of rows of a block.
    block: usize,
}

/// Consecutive inputs of a batch.
struct RowBlock<T> {
    /// Index of the first input in the batch.
    start: usize,
    /// Validity of each input.
    checks: Vec<Result<(), InputError>>,
    /// One row per input; zeros for an invalid input.
    rows: Vec<T>,
    width: usize,
    answers: Sender<Answers>,
}

/// Index of a block's first input, and the predictions for all its inputs.
type Answers = (usize, Result<Predictions, PredictError>);

/// Target time of a block in nanoseconds: above the time to wake a helper, some 10 microseconds.
const BLOCK_NANOS: usize = 20_000;
/// Measured time to score a row with one tree, in nanoseconds.
const TREE_NANOS: usize = 40;
/// Measured time to copy one feature, in nanoseconds.
const FEATURE_NANOS: usize = 3;

/// Largest number of queued blocks per helper: enough to keep it busy while the calling thread is
/// not scheduled.
const AHEAD: usize = 64;

/// Time for which a thread polls for its next message before it sleeps, yielding to other threads.
/// The pause within and between the batches of a busy server is shorter than the time to wake a
/// thread.
const LINGER: Duration = Duration::from_micros(50);

impl<T: FeatureFloat> Workers<T> {
    /// Loads the model on `threads` threads, including the calling thread.
    pub(crate) fn load(text: &str, threads: usize) -> Result<Workers<T>, String> {
        let booster = load::<T>(text)?;
        let number = |count: i32| {
            usize::try_from(count).map_err(|_| format!("it has the invalid count {count}"))
        };
        let trees = number(booster.num_iterations())? * number(booster.num_classes())?;
        let width = number(booster.num_features())?;
        let (queue, waiting) = unbounded();
        let helpers = threads.saturating_sub(1);
        start_helpers(helpers, text, &waiting)?;
        Ok(Workers {
            booster,
            width,
            helpers,
            queue,
            waiting,
            block: (BLOCK_NANOS / (TREE_NANOS * trees + FEATURE_NANOS * width)).max(1),
        })
    }

    /// Returns the number of features of one row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Returns LightGBM's scores of one row, which must have [`Self::width`] features.
    pub(crate) fn scores(&self, row: &[T]) -> Result<Vec<f64>, PredictError> {
        scores(&self.booster, row)
    }

    /// Predicts a batch. The calling thread computes inputs from the front, the helpers from the
    /// end.
    pub(crate) fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let (sender, answers) = unbounded();
        let mut row = vec![T::default(); self.width];
        let mut all = Vec::with_capacity(batch.len());
        let mut end = batch.len();
        while all.len() < end {
            end = self.queue_blocks(batch, all.len()..end, &sender);
            for index in all.len()..end.min(all.len() + self.block) {
                let check = batch.copy_row(index, &mut row);
                all.push(predict_row(&self.booster, check, &row)?);
            }
        }
        for block in self.waiting.try_iter() {
            block.predict(&self.booster);
        }
        drop(sender);
        let mut blocks: Vec<Answers> = iter::from_fn(|| receive(&answers)).collect();
        blocks.sort_unstable_by_key(|(start, _)| *start);
        for (_, answers) in blocks {
            all.append(&mut answers?);
        }
        match all.len() == batch.len() {
            true => Ok(all),
            false => Err(PredictError("a thread of the model has terminated".into())),
        }
    }

    /// Queues blocks from the end of `rest` until the helpers have enough, and returns the new end
    /// of `rest`.
    fn queue_blocks(
        &self,
        batch: &Batch<'_>,
        mut rest: Range<usize>,
        answers: &Sender<Answers>,
    ) -> usize {
        // The calling thread always keeps one block.
        while rest.len() > self.block
            && self.waiting.len() < self.helpers * AHEAD.min(rest.len() / self.block)
        {
            let start = rest.end - self.block;
            let block = self.block(batch, start..rest.end, answers);
            self.queue
                .send(block)
                .expect("`self` also holds a receiver");
            rest.end = start;
        }
        rest.end
    }

    fn block(
        &self,
        batch: &Batch<'_>,
        indices: Range<usize>,
        answers: &Sender<Answers>,
    ) -> RowBlock<T> {
        let mut rows = vec![T::default(); indices.len() * self.width];
        let checks = indices.clone().zip(rows.chunks_exact_mut(self.width));
        let checks = checks.map(|(index, row)| batch.copy_row(index, row));
        RowBlock {
            start: indices.start,
            checks: checks.collect(),
            rows,
            width: self.width,
            answers: answers.clone(),
        }
    }
}

impl<T: FeatureFloat> RowBlock<T> {
    /// Computes the block and sends its predictions.
    fn predict(self, booster: &Booster) {
        let rows = self.rows.chunks_exact(self.width);
        let answers = self.checks.into_iter().zip(rows);
        let answers = answers.map(|(check, row)| predict_row(booster, check, row));
        // The receiver waits for all blocks, so the send cannot fail.
        let _ = self.answers.send((self.start, answers.collect()));
    }
}

/// Predicts one input; `check` is the validity of `row`.
fn predict_row<T: FeatureFloat>(
    booster: &Booster,
    check: Result<(), InputError>,
    row: &[T],
) -> Result<Result<Output, InputError>, PredictError> {
    if let Err(invalid) = check {
        return Ok(Err(invalid));
    }
    Ok(Ok(T::output(scores(booster, row)?)))
}

/// Starts helpers, and waits until each has loaded the model. They end when their queue is dropped.
fn start_helpers<T: FeatureFloat>(
    helpers: usize,
    text: &str,
    waiting: &Receiver<RowBlock<T>>,
) -> Result<(), String> {
    let text: Arc<str> = text.into();
    let (sender, problems) = bounded(helpers);
    for _ in 0..helpers {
        let (text, waiting, problems) = (text.clone(), waiting.clone(), sender.clone());
        thread::Builder::new()
            .name("lgbm".into())
            .spawn(move || run_helper(text, &waiting, problems))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
    }
    drop(sender);
    problems.recv().map_or(Ok(()), Err)
}

/// Runs a helper thread. It drops `problems` once the model is loaded, or sends the load error.
fn run_helper<T: FeatureFloat>(
    text: Arc<str>,
    waiting: &Receiver<RowBlock<T>>,
    problems: Sender<String>,
) {
    match load::<T>(&text) {
        Ok(booster) => {
            drop((text, problems));
            iter::from_fn(|| receive(waiting)).for_each(|block| block.predict(&booster));
        }
        Err(problem) => drop(problems.send(problem)),
    }
}

/// Loads the model, ready to score single rows of `T`. Only the first call starts OpenMP threads.
fn load<T: FeatureFloat>(text: &str) -> Result<Booster, String> {
    let parameters = json!({ "num_threads": 1, "verbosity": -1 });
    let booster = Booster::from_string(text).and_then(|mut booster| {
        booster.single_row_fast_init::<T>(Some(&parameters))?;
        Ok(booster)
    });
    booster.map_err(|error| error.to_string())
}

fn scores<T: FeatureFloat>(booster: &Booster, row: &[T]) -> Result<Vec<f64>, PredictError> {
    let scores = booster.predict_single_row_fast(row);
    scores.map_err(|error| PredictError(error.to_string()))
}

/// Returns the next message; `None` once all senders are dropped.
fn receive<T>(from: &Receiver<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < LINGER {
        match from.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => thread::yield_now(),
        }
    }
    from.recv().ok()
}
