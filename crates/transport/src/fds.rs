//! File descriptors that a loop polls beside its sockets.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::{Errno, read, write},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

/// Wakes a loop from another thread; several wake-ups before the loop runs count as one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<WakerState>);

#[derive(Debug)]
struct WakerState {
    fd: OwnedFd,
    /// True from a wake-up until the loop clears it.
    pending: AtomicBool,
}

impl Waker {
    /// Creates a waker that is not readable.
    ///
    /// # Errors
    /// If the system has no file descriptors left.
    pub fn new() -> io::Result<Waker> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Waker(Arc::new(WakerState {
            fd,
            pending: AtomicBool::new(false),
        })))
    }

    /// Makes the descriptor readable, unless it is already. Call it after the work for the loop has
    /// been queued.
    pub fn wake(&self) {
        if !self.0.pending.swap(true, Ordering::AcqRel) {
            // The only error is a full counter, which is readable as well.
            let _ = write(&self.0.fd, &1_u64.to_ne_bytes());
        }
    }

    /// Makes the descriptor unreadable. Call it before taking queued work, so that no work is
    /// missed.
    pub fn clear(&self) {
        let _ = read(&self.0.fd, &mut [0; 8]);
        // Not a mere store: the reads of the queue that follow must not be reordered before it.
        self.0.pending.swap(false, Ordering::AcqRel);
    }

    /// Returns the descriptor to poll for reading.
    pub fn fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

/// Wakes a loop at a given time, with a resolution of microseconds.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// Creates a timer that is not armed.
    ///
    /// # Errors
    /// If the system has no file descriptors left.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Timer(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Arms the timer: it becomes readable once, after `delay`; `None` disarms it. An earlier
    /// setting is replaced.
    ///
    /// # Errors
    /// If the system refuses the time.
    pub fn set(&self, delay: Option<Duration>) -> io::Result<()> {
        // Zero would disarm it.
        let delay = delay.map_or(Duration::ZERO, |delay| delay.max(Duration::from_nanos(1)));
        let value = Timespec {
            tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: delay.subsec_nanos().into(),
        };
        let no_interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: no_interval,
                it_value: value,
            },
        )?;
        Ok(())
    }

    /// Makes the descriptor unreadable, if the timer has fired.
    ///
    /// # Errors
    /// If the descriptor cannot be read.
    pub fn clear(&self) -> io::Result<()> {
        match read(&self.0, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the descriptor to poll for reading.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(fd: RawFd, timeout: i64) -> bool {
        let mut items = [zmq::PollItem::from_fd(fd, zmq::POLLIN)];
        zmq::poll(&mut items, timeout).unwrap() == 1
    }

    #[test]
    fn wake_ups_before_the_poll_count_once() {
        let waker = Waker::new().unwrap();
        waker.wake();
        waker.clone().wake();
        assert!(readable(waker.fd(), 0));
        waker.clear();
        assert!(!readable(waker.fd(), 0));
        waker.wake();
        assert!(readable(waker.fd(), 0));
    }

    #[test]
    fn a_timer_fires_once_and_not_when_disarmed() {
        let timer = Timer::new().unwrap();
        timer.set(Some(Duration::ZERO)).unwrap();
        assert!(readable(timer.fd(), 5_000));
        timer.clear().unwrap();
        assert!(!readable(timer.fd(), 0));
        timer.set(Some(Duration::from_secs(3600))).unwrap();
        timer.set(None).unwrap();
        assert!(!readable(timer.fd(), 0));
        timer.clear().unwrap();
    }
}
