//! A thread that its owner stops and joins by dropping it.

use std::{
    io,
    thread::{self, JoinHandle},
};

/// A thread that ends after its stop handle `S` is dropped.
///
/// Dropping the worker drops the handle and then waits for the thread.
#[derive(Debug)]
pub(crate) struct WorkerThread<S, T = ()> {
    /// `None` while the worker is being dropped.
    stop: Option<S>,
    /// `None` after the join.
    thread: Option<JoinHandle<T>>,
}

impl<S, T: Send + 'static> WorkerThread<S, T> {
    /// Starts a thread named `name`.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub(crate) fn spawn(
        name: &str,
        stop: S,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<WorkerThread<S, T>> {
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(WorkerThread {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the handle whose drop stops the thread.
    pub(crate) fn stop_handle(&self) -> &S {
        self.stop
            .as_ref()
            .expect("the stop handle is taken only on drop")
    }

    /// Waits until the thread ends by itself. Returns its result or the payload of its panic, and
    /// `None` after an earlier join.
    pub(crate) fn join(&mut self) -> Option<thread::Result<T>> {
        self.thread.take().map(JoinHandle::join)
    }
}

impl<S, T> Drop for WorkerThread<S, T> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been printed already, and an error has no receiver.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn dropping_a_worker_stops_and_joins_its_thread() {
        let (stop, stopped) = channel::<()>();
        let (ended, end) = channel();
        let run = move || {
            let _ = stopped.recv();
            ended.send(()).unwrap();
        };
        let worker = WorkerThread::spawn("test", stop, run).unwrap();
        assert!(end.try_recv().is_err());
        drop(worker);
        assert_eq!(end.try_recv(), Ok(()));
    }
}
