//! The faults that are active at a time: the injector sets them, and clients record them with each query.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A replica is killed (SIGKILL) and restarted some time later.
    KilledReplica,
    /// A replica is stopped (SIGSTOP) and continued some time later.
    StoppedReplica,
    /// A replica is stopped for 80 ms of every 100 ms.
    SlowedReplica,
    /// The frontend is killed (SIGKILL) and restarted with its state, on the same ports.
    KilledFrontend,
    /// Clients disconnect with queries in flight.
    DisconnectedClients,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Fault; 5] = [
        Fault::KilledReplica,
        Fault::StoppedReplica,
        Fault::SlowedReplica,
        Fault::KilledFrontend,
        Fault::DisconnectedClients,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::KilledReplica => "replica killed",
            Fault::StoppedReplica => "replica stopped",
            Fault::SlowedReplica => "replica slowed",
            Fault::KilledFrontend => "frontend killed",
            Fault::DisconnectedClients => "clients disconnected",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of faults that are active at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultSet(u8);

impl FaultSet {
    /// Number of sets; each has an [`index`](FaultSet::index) below this.
    pub const COMBINATIONS: usize = 1 << Fault::ALL.len();

    /// The empty set.
    pub const NONE: FaultSet = FaultSet(0);

    /// Returns the set with this index.
    pub fn from_index(index: usize) -> FaultSet {
        FaultSet(index as u8)
    }

    /// Returns the set of these faults.
    pub fn of(faults: impl IntoIterator<Item = Fault>) -> FaultSet {
        FaultSet(faults.into_iter().fold(0, |bits, fault| bits | fault.bit()))
    }

    /// Returns the union of two sets.
    pub fn or(self, other: FaultSet) -> FaultSet {
        FaultSet(self.0 | other.0)
    }

    /// Index of the set.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Returns the faults of the set.
    pub fn kinds(self) -> impl Iterator<Item = Fault> {
        let has = move |fault: &Fault| self.0 & fault.bit() != 0;
        Fault::ALL.into_iter().filter(has)
    }
}

/// The active faults at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultSnapshot {
    /// Active faults.
    pub faults: FaultSet,
    /// True while the frontend is down and for [`ActiveFaults::GRACE`] afterwards, when connection errors are
    /// allowed.
    pub outage: bool,
}

/// The currently active faults, shared by injector and clients.
#[derive(Debug)]
pub struct ActiveFaults {
    start: Instant,
    faults: AtomicU8,
    /// Milliseconds since `start`.
    outage_until: AtomicU64,
}

impl Default for ActiveFaults {
    fn default() -> ActiveFaults {
        ActiveFaults {
            start: Instant::now(),
            faults: AtomicU8::new(0),
            outage_until: AtomicU64::new(0),
        }
    }
}

impl ActiveFaults {
    /// Time after the frontend's return in which clients may still notice broken connections.
    pub const GRACE: Duration = Duration::from_secs(15);

    /// Replaces the active faults.
    pub fn set(&self, faults: FaultSet) {
        self.faults.store(faults.0, SeqCst);
    }

    /// Starts an outage; call this before killing the frontend.
    pub fn start_outage(&self) {
        self.outage_until.store(u64::MAX, SeqCst);
    }

    /// Ends the outage after [`ActiveFaults::GRACE`]; call this once the frontend answers again.
    pub fn end_outage(&self) {
        let until = self.millis(Instant::now() + ActiveFaults::GRACE);
        self.outage_until.store(until, SeqCst);
    }

    /// Returns the faults active at `now`.
    pub fn snapshot(&self, now: Instant) -> FaultSnapshot {
        FaultSnapshot {
            faults: FaultSet(self.faults.load(SeqCst)),
            outage: self.millis(now) < self.outage_until.load(SeqCst),
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
