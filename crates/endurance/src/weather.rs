//! What is wrong at the moment: the one who makes the faults says it, the clients note it beside their queries.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A replica is killed (SIGKILL), and started anew some time later.
    KilledReplica,
    /// A replica is stopped (SIGSTOP), and goes on some time later.
    StoppedReplica,
    /// A replica is stopped for most of each tenth of a second.
    SlowedReplica,
    /// The frontend is killed (SIGKILL), and started anew with its state on its ports.
    KilledFrontend,
    /// Clients go in the middle of their queries.
    VanishedClients,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 5] = [
        Fault::KilledReplica,
        Fault::StoppedReplica,
        Fault::SlowedReplica,
        Fault::KilledFrontend,
        Fault::VanishedClients,
    ];

    /// How it is called in a report.
    pub fn name(self) -> &'static str {
        match self {
            Fault::KilledReplica => "replica killed",
            Fault::StoppedReplica => "replica stopped",
            Fault::SlowedReplica => "replica slowed",
            Fault::KilledFrontend => "frontend killed",
            Fault::VanishedClients => "clients vanished",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The faults that are there at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Faults(u8);

impl Faults {
    /// How many combinations there are; each has an [`index`](Faults::index) below this.
    pub const COMBINATIONS: usize = 1 << Fault::ALL.len();

    /// None.
    pub const NONE: Faults = Faults(0);

    /// The combination with this number.
    pub fn from_index(index: usize) -> Faults {
        Faults(index as u8)
    }

    /// These faults.
    pub fn of(faults: impl IntoIterator<Item = Fault>) -> Faults {
        Faults(faults.into_iter().fold(0, |bits, fault| bits | fault.bit()))
    }

    /// Those of either.
    pub fn or(self, other: Faults) -> Faults {
        Faults(self.0 | other.0)
    }

    /// The combination's number.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// The kinds.
    pub fn kinds(self) -> impl Iterator<Item = Fault> {
        let has = move |fault: &Fault| self.0 & fault.bit() != 0;
        Fault::ALL.into_iter().filter(has)
    }
}

/// What a client sees when it looks up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sky {
    /// What is wrong.
    pub faults: Faults,
    /// True while the frontend is down, and for [`Weather::GRACE`] afterwards: then a client's connection may be.
    pub outage: bool,
}

/// What is wrong at the moment.
#[derive(Debug)]
pub struct Weather {
    began: Instant,
    faults: AtomicU8,
    /// Milliseconds since `began`.
    outage_until: AtomicU64,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather {
            began: Instant::now(),
            faults: AtomicU8::new(0),
            outage_until: AtomicU64::new(0),
        }
    }
}

impl Weather {
    /// For so long after the frontend is back, clients may still find out that it was gone.
    pub const GRACE: Duration = Duration::from_secs(15);

    /// These faults are there now, and no others.
    pub fn set(&self, faults: Faults) {
        self.faults.store(faults.0, SeqCst);
    }

    /// The frontend is about to be killed.
    pub fn frontend_goes(&self) {
        self.outage_until.store(u64::MAX, SeqCst);
    }

    /// The frontend answers again.
    pub fn frontend_is_back(&self) {
        let until = self.millis(Instant::now() + Weather::GRACE);
        self.outage_until.store(until, SeqCst);
    }

    /// What is wrong now.
    pub fn look(&self, now: Instant) -> Sky {
        Sky {
            faults: Faults(self.faults.load(SeqCst)),
            outage: self.millis(now) < self.outage_until.load(SeqCst),
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
