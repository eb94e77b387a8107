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

/// Wakes a loop from another thread: once for as much as is waiting for it.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    pending: AtomicBool,
}

impl Waker {
    /// A wake-up that has not been called yet.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new() -> io::Result<Waker> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Waker(Arc::new(Inner {
            fd,
            pending: AtomicBool::new(false),
        })))
    }

    /// Makes the descriptor readable, unless it is already. Call it after the work has been put where the loop finds it.
    pub fn wake(&self) {
        if !self.0.pending.swap(true, Ordering::AcqRel) {
            // It cannot fail in a way that matters: a full counter is readable as well.
            let _ = write(&self.0.fd, &1_u64.to_ne_bytes());
        }
    }

    /// Takes the wake-up back. Call it before looking for work, so that none is left behind.
    pub fn clear(&self) {
        let _ = read(&self.0.fd, &mut [0; 8]);
        // Not a mere store: looking for work, which comes next, must not overtake it.
        self.0.pending.swap(false, Ordering::AcqRel);
    }

    /// What to poll for reading.
    pub fn fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

/// Wakes a loop at a time, to the microsecond.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Timer(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Becomes readable after `delay`, once; `None` unsets it. What was set before is forgotten.
    ///
    /// # Errors
    /// If the system refuses the time.
    pub fn set(&self, delay: Option<Duration>) -> io::Result<()> {
        // Zero would unset it.
        let delay = delay.map_or(Duration::ZERO, |delay| delay.max(Duration::from_nanos(1)));
        let value = Timespec {
            tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: delay.subsec_nanos().into(),
        };
        let once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: once,
                it_value: value,
            },
        )?;
        Ok(())
    }

    /// Takes a wake-up back, if there was one.
    ///
    /// # Errors
    /// If the descriptor cannot be read.
    pub fn clear(&self) -> io::Result<()> {
        match read(&self.0, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What to poll for reading.
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
    fn a_wake_up_before_the_poll_is_not_lost_and_counts_once() {
        let wake = Waker::new().unwrap();
        wake.wake();
        wake.clone().wake();
        assert!(readable(wake.fd(), 0));
        wake.clear();
        assert!(!readable(wake.fd(), 0));
        wake.wake();
        assert!(readable(wake.fd(), 0));
    }

    #[test]
    fn a_timer_fires_once_and_not_after_it_is_unset() {
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
