//! Execution of one load, which is one phase of a trial: the client threads, and the thread that
//! watches them.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use host::cores;
use transport::Frame;

use crate::{
    client::{Worker, WorkerReport},
    client_state::FinishedSlices,
    cpu_times::{self, ThreadCpuTimes},
    error::Error,
    load::{Load, LoadControl, LoadResult, Progress, SliceLatency, WindowOpening},
    native::NativeClient,
    overload::OverloadDetector,
    primary_metric::primary_metric,
    shared::SharedState,
    stats::{NumberedSlice, Slice, Tally},
    steady::SteadyState,
};

/// Executes a load: sends `inputs` in turn for its duration, or each once, and waits for the
/// missing answers.
///
/// The calling thread runs `watch` about ten times a second. In the result,
/// [`Totals::seconds`](crate::stats::Totals::seconds) is the length of the window or of the warm-up
/// before it.
///
/// # Errors
/// If the clients cannot be started or connected, a socket fails, or an answer cannot be decoded.
pub fn run(
    load: &Load<'_>,
    inputs: &[Frame],
    mut watch: impl FnMut(&Progress) -> LoadControl,
) -> Result<LoadResult, Error> {
    // ZeroMQ starts its I/O thread with the first socket, so the sockets are made on the load's
    // cores.
    let context = zmq::Context::new();
    let clients = cores::run_on(load.cores, || {
        let connect = |index| {
            NativeClient::connect(&context, &load.target)
                .map(|client| Worker::new(client, load, inputs, index))
        };
        (0..load.clients())
            .map(connect)
            .collect::<Result<Vec<_>, _>>()
    });
    let clients = clients.map_err(Error::Start)??;
    let shared = SharedState::begin(load, clients.len());
    thread::scope(|scope| {
        // The scope waits for the clients, so they must end even if `watch` panics.
        let _stop = StopOnDrop(&shared);
        let (sender, reports) = mpsc::channel();
        let start_all = || {
            clients.into_iter().try_for_each(|client| {
                let (sender, shared) = (sender.clone(), &shared);
                let named = thread::Builder::new().name(cpu_times::CLIENT.to_owned());
                let spawned = named.spawn_scoped(scope, move || {
                    let tally = client.run(shared, &sender);
                    // The receiver is dropped once another client has failed; ignore send errors.
                    let _ = sender.send(WorkerReport::Done(tally.map(Box::new)));
                });
                spawned.map(drop)
            })
        };
        let started = cores::run_on(load.cores, start_all);
        started.and_then(|started| started).map_err(Error::Start)?;
        drop(sender);
        Watcher::new(load, &shared).run(&reports, &mut watch)
    })
}

/// Merges the clients' counts, and opens and closes the window.
struct Watcher<'a> {
    load: &'a Load<'a>,
    shared: &'a SharedState,
    tally: Tally,
    steady_state: SteadyState,
    steady: bool,
    /// Only in an open loop.
    overload: Option<OverloadDetector>,
    cpu_times: ThreadCpuTimes,
    /// Number of complete slices, by client.
    finished: Vec<usize>,
}

impl<'a> Watcher<'a> {
    fn new(load: &'a Load<'a>, shared: &'a SharedState) -> Watcher<'a> {
        Watcher {
            load,
            shared,
            tally: Tally::new(load.objective),
            steady_state: SteadyState::new(load.arrivals.in_flight(), load.duration),
            steady: load.send_once,
            overload: (load.arrivals.in_flight().is_none())
                .then(|| OverloadDetector::new(shared.began, load.objective)),
            cpu_times: ThreadCpuTimes::default(),
            finished: vec![0; shared.counters.len()],
        }
    }

    fn run(
        mut self,
        reports: &Receiver<WorkerReport>,
        watch: &mut impl FnMut(&Progress) -> LoadControl,
    ) -> Result<LoadResult, Error> {
        const TICK: Duration = Duration::from_millis(100);
        let mut tick = self.shared.began + TICK;
        loop {
            let left = tick.saturating_duration_since(Instant::now());
            match reports.recv_timeout(left) {
                Ok(WorkerReport::Done(tally)) => self.tally.merge(*tally?),
                Ok(WorkerReport::Finished(client, finished)) => self.add_slices(client, finished),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tick += TICK;
                    let progress = self.progress();
                    let control = watch(&progress);
                    self.apply(control, progress.in_phase);
                    self.end_if_overloaded();
                    self.cpu_times.update(&self.shared.span());
                }
            }
        }
        Ok(self.result())
    }

    fn add_slices(&mut self, client: usize, finished: FinishedSlices) {
        let before = self.finished();
        for NumberedSlice { number, slice } in &finished.slices {
            self.tally.slice(*number).merge(slice);
        }
        self.finished[client] = finished.end;
        let count = self.finished();
        if let Some(precision) = self.load.precision
            && count > before
        {
            let span = self.shared.span();
            let closed = self.load.arrivals.in_flight().is_some();
            let metric = primary_metric(closed, &mut self.tally, &span, count);
            if metric.is_some_and(|metric| metric.is_within(precision)) {
                self.shared.close_early();
            }
        }
    }

    /// Returns the number of slices that are complete in all clients.
    fn finished(&self) -> usize {
        self.finished.iter().copied().min().unwrap_or(0)
    }

    fn progress(&mut self) -> Progress {
        let counts = self.shared.counts();
        let in_phase = self.shared.began.elapsed();
        self.steady_state.record(in_phase, counts.ok);
        let slice = self.last_slice();
        let seconds = self.shared.span().slice.as_secs_f64();
        Progress {
            elapsed: self.load.trial_start.elapsed(),
            in_phase,
            planned: self.load.duration,
            measuring: self.shared.is_open(),
            answered: counts.answered,
            in_flight: counts.sent.saturating_sub(counts.answered),
            ok_per_second: self.steady_state.rate(),
            last_slice: slice.map(|slice| {
                let ms = |quantile| slice.latency.value_at_quantile(quantile) as f64 / 1e3;
                SliceLatency {
                    p50_ms: ms(0.5),
                    p99_ms: ms(0.99),
                }
            }),
            mean_batch: slice.and_then(|slice| slice.arrived.mean_batch()),
            queued: slice.map(|slice| slice.arrived.micros.queued as f64 / 1e6 / seconds),
        }
    }

    /// Returns the last slice that is complete in all clients; `None` if it has no answers.
    fn last_slice(&self) -> Option<&Slice> {
        let slice = self.tally.slices.get(self.finished().checked_sub(1)?)?;
        (!slice.latency.is_empty()).then_some(slice)
    }

    fn apply(&mut self, control: LoadControl, in_phase: Duration) {
        if control == LoadControl::Stop {
            return self.shared.stop();
        }
        if self.shared.is_open() {
            return;
        }
        let (ready, latest) = match self.load.opening {
            WindowOpening::Immediate => (true, Duration::ZERO),
            WindowOpening::After(time) => (control == LoadControl::Warm && in_phase >= time, time),
            WindowOpening::Steady(earliest) => {
                let steady = in_phase >= earliest && self.steady_state.is_steady();
                (
                    control == LoadControl::Warm && steady,
                    self.load.duration / 2,
                )
            }
        };
        if ready || in_phase >= latest {
            self.steady = ready;
            self.shared.open();
        }
    }

    fn end_if_overloaded(&mut self) {
        let (now, span, counts) = (Instant::now(), self.shared.span(), self.shared.counts());
        let overload = self.overload.as_mut();
        if overload.is_some_and(|overload| overload.update(now, &span, counts)) {
            self.shared.stop();
        }
    }

    fn result(mut self) -> LoadResult {
        let counts = self.shared.counts();
        let overloaded = self
            .overload
            .is_some_and(|overload| overload.is_overloaded(counts));
        let span = self.shared.span();
        let end = span.closes.min(Instant::now());
        let opened = span.opens.min(end);
        self.tally.warm_up.seconds = (opened - self.shared.began).as_secs_f64();
        self.tally.totals.seconds = (end - opened).as_secs_f64();
        LoadResult {
            tally: self.tally,
            span,
            steady: self.steady,
            overloaded,
            busiest_thread: self.cpu_times.busiest(),
        }
    }
}

struct StopOnDrop<'a>(&'a SharedState);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
