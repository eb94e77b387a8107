//! One load: the client threads, and the thread that watches them. One load is one phase.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use host::cores;
use transport::Frame;

use crate::{
    client::{Report, Worker},
    error::Error,
    figure::figure,
    flow::Finished,
    load::{Go, Load, Measured, Opening, Progress, SliceLatency},
    native::NativeClient,
    overload::Overload,
    shared::Shared,
    stats::{NumberedSlice, Slice, Tally},
    steady::SteadyState,
    threads::{self, Threads},
};

/// Sends `inputs` in turn until the duration is over, or each once, waits for the answers that are missing, and counts.
///
/// `watch` is called on this thread. [`Totals::seconds`](crate::stats::Totals) is the length of the window, or of the
/// warm-up before it.
///
/// # Errors
/// If the clients cannot be started or connected, a socket fails, or an answer cannot be read.
pub fn run(
    load: &Load<'_>,
    inputs: &[Frame],
    mut watch: impl FnMut(&Progress) -> Go,
) -> Result<Measured, Error> {
    // ZeroMQ's own thread starts with the first socket.
    let context = zmq::Context::new();
    let clients = cores::on(load.cores, || {
        let connect = |index| {
            NativeClient::connect(&context, &load.target)
                .map(|client| Worker::new(client, load, inputs, index))
        };
        (0..load.clients())
            .map(connect)
            .collect::<Result<Vec<_>, _>>()
    });
    let clients = clients.map_err(Error::Start)??;
    let shared = Shared::begin(load, clients.len());
    thread::scope(|scope| {
        // Ends the clients even if `watch` panics: the scope waits for them.
        let _stop = StopOnDrop(&shared);
        let (sender, reports) = mpsc::channel();
        let start_all = || {
            clients.into_iter().try_for_each(|client| {
                let (sender, shared) = (sender.clone(), &shared);
                let named = thread::Builder::new().name(threads::CLIENT.to_owned());
                let spawned = named.spawn_scoped(scope, move || {
                    let ended = client.run(shared, &sender);
                    // Nobody listens any more once another client has failed.
                    let _ = sender.send(Report::Ended(ended.map(Box::new)));
                });
                spawned.map(drop)
            })
        };
        let started = cores::on(load.cores, start_all);
        started.and_then(|started| started).map_err(Error::Start)?;
        drop(sender);
        Watcher::new(load, &shared).run(&reports, &mut watch)
    })
}

/// Puts the clients' counts together, and opens and closes the window.
struct Watcher<'a> {
    load: &'a Load<'a>,
    shared: &'a Shared,
    all: Tally,
    course: SteadyState,
    steady: bool,
    /// In an open loop.
    overload: Option<Overload>,
    threads: Threads,
    /// Of each client, how many slices it has finished.
    finished: Vec<usize>,
}

impl<'a> Watcher<'a> {
    fn new(load: &'a Load<'a>, shared: &'a Shared) -> Watcher<'a> {
        Watcher {
            load,
            shared,
            all: Tally::new(load.objective),
            course: SteadyState::new(load.arrivals.in_flight(), load.duration),
            steady: load.once,
            overload: (load.arrivals.in_flight().is_none())
                .then(|| Overload::new(shared.began, load.objective)),
            threads: Threads::default(),
            finished: vec![0; shared.counters.len()],
        }
    }

    fn run(
        mut self,
        reports: &Receiver<Report>,
        watch: &mut impl FnMut(&Progress) -> Go,
    ) -> Result<Measured, Error> {
        const TICK: Duration = Duration::from_millis(100);
        let mut tick = self.shared.began + TICK;
        loop {
            let left = tick.saturating_duration_since(Instant::now());
            match reports.recv_timeout(left) {
                Ok(Report::Ended(tally)) => self.all.merge(*tally?),
                Ok(Report::Finished(client, finished)) => self.take(client, finished),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tick += TICK;
                    let progress = self.progress();
                    let go = watch(&progress);
                    self.steer(go, progress.in_phase);
                    self.end_if_overloaded();
                    self.threads.look(&self.shared.span());
                }
            }
        }
        Ok(self.measured())
    }

    fn take(&mut self, client: usize, finished: Finished) {
        let before = self.finished();
        for NumberedSlice { number, slice } in &finished.slices {
            self.all.slice(*number).merge(slice);
        }
        self.finished[client] = finished.end;
        let count = self.finished();
        if let Some(until) = self.load.until
            && count > before
        {
            let span = self.shared.span();
            let closed = self.load.arrivals.in_flight().is_some();
            let figure = figure(closed, &mut self.all, &span, count);
            if figure.is_some_and(|figure| figure.is_within(until)) {
                self.shared.close_early();
            }
        }
    }

    /// How many slices all clients have finished.
    fn finished(&self) -> usize {
        self.finished.iter().copied().min().unwrap_or(0)
    }

    fn progress(&mut self) -> Progress {
        let counts = self.shared.counts();
        let in_phase = self.shared.began.elapsed();
        self.course.tell(in_phase, counts.ok);
        let slice = self.last_slice();
        let seconds = self.shared.span().slice.as_secs_f64();
        Progress {
            elapsed: self.load.since.elapsed(),
            in_phase,
            planned: self.load.duration,
            measuring: self.shared.is_open(),
            answered: counts.answered,
            in_flight: counts.sent.saturating_sub(counts.answered),
            ok_per_second: self.course.rate(),
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

    /// The last slice that all clients have finished, unless nothing was answered in it.
    fn last_slice(&self) -> Option<&Slice> {
        let slice = self.all.slices.get(self.finished().checked_sub(1)?)?;
        (!slice.latency.is_empty()).then_some(slice)
    }

    fn steer(&mut self, go: Go, in_phase: Duration) {
        if go == Go::Stop {
            return self.shared.stop();
        }
        if self.shared.is_open() {
            return;
        }
        let (ready, latest) = match self.load.opening {
            Opening::AtOnce => (true, Duration::ZERO),
            Opening::After(time) => (go == Go::Warm && in_phase >= time, time),
            Opening::Steady(earliest) => {
                let steady = in_phase >= earliest && self.course.is_steady();
                (go == Go::Warm && steady, self.load.duration / 2)
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
        if overload.is_some_and(|overload| overload.tell(now, &span, counts)) {
            self.shared.stop();
        }
    }

    fn measured(mut self) -> Measured {
        let counts = self.shared.counts();
        let overloaded = self
            .overload
            .is_some_and(|overload| overload.is_found(counts));
        let span = self.shared.span();
        let end = span.closes.min(Instant::now());
        let opened = span.opens.min(end);
        self.all.warm_up.seconds = (opened - self.shared.began).as_secs_f64();
        self.all.totals.seconds = (end - opened).as_secs_f64();
        Measured {
            tally: self.all,
            span,
            steady: self.steady,
            overloaded,
            busiest_thread: self.threads.busiest(),
        }
    }
}

struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
