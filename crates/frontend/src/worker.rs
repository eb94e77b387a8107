//! A thread with an owner: stopped and joined when the owner drops it.

use std::{
    io,
    thread::{self, JoinHandle},
};

/// A thread that ends after its stop handle `S` is dropped. Dropping the worker drops the handle, then waits for the
/// thread.
#[derive(Debug)]
pub(crate) struct Worker<S, T = ()> {
    /// `None` once the worker is being dropped.
    stop: Option<S>,
    /// `None` once it has been joined.
    thread: Option<JoinHandle<T>>,
}

impl<S, T: Send + 'static> Worker<S, T> {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub(crate) fn spawn(
        name: &str,
        stop: S,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Worker<S, T>> {
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Worker {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The handle whose drop stops the thread.
    pub(crate) fn stop_handle(&self) -> &S {
        self.stop.as_ref().expect("only a drop takes it")
    }

    /// Waits until the thread ends by itself. Returns its result, or the payload of its panic; `None` if it was joined
    /// before.
    pub(crate) fn join(&mut self) -> Option<thread::Result<T>> {
        self.thread.take().map(JoinHandle::join)
    }
}

impl<S, T> Drop for Worker<S, T> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already; an error has no receiver.
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
        let worker = Worker::spawn("test", stop, run).unwrap();
        assert!(end.try_recv().is_err());
        drop(worker);
        assert_eq!(end.try_recv(), Ok(()));
    }
}
