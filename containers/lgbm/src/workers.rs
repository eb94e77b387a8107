//! Threads that share a batch. Each has the model: LightGBM's `Booster` stays on the thread that loads it.
//!
//! OpenMP's threads, which LightGBM itself would use, spin while they wait for each other: where a core is busy with
//! something else, a small batch then takes milliseconds. Here nobody waits for a thread that has not begun.

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

/// What features are made of, and answers: a row goes to LightGBM as it came, in float32 or in float64.
pub(crate) trait Precision: DType + Numeric + Default + Send + 'static {
    /// The output in this precision.
    fn output(scores: Vec<f64>) -> Output;
}

impl Precision for f32 {
    fn output(scores: Vec<f64>) -> Output {
        Output::Floats(scores.into_iter().map(|score| score as f32).collect())
    }
}

impl Precision for f64 {
    fn output(scores: Vec<f64>) -> Output {
        Output::Doubles(scores)
    }
}

/// The model, on this thread and on its helpers.
pub(crate) struct Workers<T> {
    booster: Booster,
    /// Features of one row.
    width: usize,
    helpers: usize,
    /// Both ends of the helpers' queue: this thread does what they leave.
    queue: Sender<Block<T>>,
    waiting: Receiver<Block<T>>,
    /// Rows of a block.
    block: usize,
}

/// Some inputs of a batch, in their order.
struct Block<T> {
    /// The place of the first.
    start: usize,
    /// For each, whether it is a row.
    checks: Vec<Result<(), InputError>>,
    /// The rows, zeros for an input that is none.
    rows: Vec<T>,
    width: usize,
    answers: Sender<Answers>,
}

/// The place of a block's first input, and the answers to all of them.
type Answers = (usize, Result<Predictions, PredictError>);

/// A block must take longer than it takes to wake a helper, some 10 microseconds. Measured, in nanoseconds:
const BLOCK: usize = 20_000;
const TREE: usize = 40;
const FEATURE: usize = 3;

/// Blocks that wait for each helper: enough to keep it busy while its core is there and this thread's is not.
const AHEAD: usize = 64;

/// How long a thread looks for what comes next before it sleeps, and lets others run meanwhile: between the batches of a busy
/// server, and at the end of one, less time passes than it takes to wake.
const LINGER: Duration = Duration::from_micros(50);

impl<T: Precision> Workers<T> {
    /// Loads the model on so many threads, this one included.
    pub(crate) fn load(text: &str, threads: usize) -> Result<Workers<T>, String> {
        let booster = load::<T>(text)?;
        let number = |count: i32| usize::try_from(count).map_err(|_| format!("it counts {count}"));
        let trees = number(booster.num_iterations())? * number(booster.num_classes())?;
        let width = number(booster.num_features())?;
        let (queue, waiting) = unbounded();
        let helpers = threads.saturating_sub(1);
        start(helpers, text, &waiting)?;
        Ok(Workers {
            booster,
            width,
            helpers,
            queue,
            waiting,
            block: (BLOCK / (TREE * trees + FEATURE * width)).max(1),
        })
    }

    /// Features of one row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// What LightGBM computes for one row of that width.
    pub(crate) fn scores(&self, row: &[T]) -> Result<Vec<f64>, PredictError> {
        scores(&self.booster, row)
    }

    /// The answers to a batch, in its order: this thread's from the front, the helpers' from the end.
    pub(crate) fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let (sender, answers) = unbounded();
        let mut row = vec![T::default(); self.width];
        let mut all = Vec::with_capacity(batch.len());
        let mut end = batch.len();
        while all.len() < end {
            end = self.hand_out(batch, all.len()..end, &sender);
            for place in all.len()..end.min(all.len() + self.block) {
                let check = batch.copy_row(place, &mut row);
                all.push(answer(&self.booster, check, &row)?);
            }
        }
        for block in self.waiting.try_iter() {
            block.answer(&self.booster);
        }
        drop(sender);
        let mut blocks: Vec<Answers> = iter::from_fn(|| receive(&answers)).collect();
        blocks.sort_unstable_by_key(|(start, _)| *start);
        for (_, answers) in blocks {
            all.append(&mut answers?);
        }
        match all.len() == batch.len() {
            true => Ok(all),
            false => Err(PredictError("a thread of the model has ended".into())),
        }
    }

    /// Queues blocks from the end of `rest` until the helpers have their share of it, and returns where it ends then.
    fn hand_out(
        &self,
        batch: &Batch<'_>,
        mut rest: Range<usize>,
        answers: &Sender<Answers>,
    ) -> usize {
        // There is always one for this thread.
        while rest.len() > self.block
            && self.waiting.len() < self.helpers * AHEAD.min(rest.len() / self.block)
        {
            let start = rest.end - self.block;
            let block = self.block(batch, start..rest.end, answers);
            self.queue.send(block).expect("this thread receives, too");
            rest.end = start;
        }
        rest.end
    }

    fn block(
        &self,
        batch: &Batch<'_>,
        places: Range<usize>,
        answers: &Sender<Answers>,
    ) -> Block<T> {
        let mut rows = vec![T::default(); places.len() * self.width];
        let checks = places.clone().zip(rows.chunks_exact_mut(self.width));
        let checks = checks.map(|(place, row)| batch.copy_row(place, row));
        Block {
            start: places.start,
            checks: checks.collect(),
            rows,
            width: self.width,
            answers: answers.clone(),
        }
    }
}

impl<T: Precision> Block<T> {
    fn answer(self, booster: &Booster) {
        let rows = self.rows.chunks_exact(self.width);
        let answers = self.checks.into_iter().zip(rows);
        let answers = answers.map(|(check, row)| answer(booster, check, row));
        // The receiver waits until no block is left.
        let _ = self.answers.send((self.start, answers.collect()));
    }
}

/// The answer to an input that has been checked to be `row`, or not.
fn answer<T: Precision>(
    booster: &Booster,
    check: Result<(), InputError>,
    row: &[T],
) -> Result<Result<Output, InputError>, PredictError> {
    if let Err(refused) = check {
        return Ok(Err(refused));
    }
    Ok(Ok(T::output(scores(booster, row)?)))
}

/// Starts helpers, and waits until each has the model. They end when nobody can send them blocks any more.
fn start<T: Precision>(
    helpers: usize,
    text: &str,
    waiting: &Receiver<Block<T>>,
) -> Result<(), String> {
    let text: Arc<str> = text.into();
    let (sender, problems) = bounded(helpers);
    for _ in 0..helpers {
        let (text, waiting, problems) = (text.clone(), waiting.clone(), sender.clone());
        thread::Builder::new()
            .name("lgbm".into())
            .spawn(move || help(text, &waiting, problems))
            .map_err(|error| format!("no thread for it: {error}"))?;
    }
    drop(sender);
    problems.recv().map_or(Ok(()), Err)
}

/// A helper's life; if it says no problem, it has the model.
fn help<T: Precision>(text: Arc<str>, waiting: &Receiver<Block<T>>, problems: Sender<String>) {
    match load::<T>(&text) {
        Ok(booster) => {
            drop((text, problems));
            iter::from_fn(|| receive(waiting)).for_each(|block| block.answer(&booster));
        }
        Err(problem) => drop(problems.send(problem)),
    }
}

/// The model, ready to score single rows of `T`. After the first call LightGBM loads without threads of OpenMP's.
fn load<T: Precision>(text: &str) -> Result<Booster, String> {
    let parameters = json!({ "num_threads": 1, "verbosity": -1 });
    let booster = Booster::from_string(text).and_then(|mut booster| {
        booster.single_row_fast_init::<T>(Some(&parameters))?;
        Ok(booster)
    });
    booster.map_err(|error| error.to_string())
}

fn scores<T: Precision>(booster: &Booster, row: &[T]) -> Result<Vec<f64>, PredictError> {
    let scores = booster.predict_single_row_fast(row);
    scores.map_err(|error| PredictError(error.to_string()))
}

/// The next message, or none if nobody can send one any more.
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
