//! Limits the connections of each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connection permits, at most `max` for each address. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Permits {
    max: usize,
    /// Number of permits that each address holds.
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A permit for one connection; dropping it returns it.
#[derive(Debug)]
pub(crate) struct Permit {
    address: IpAddr,
    permits: Permits,
}

impl Permits {
    pub(crate) fn new(max: usize) -> Permits {
        Permits {
            max,
            taken: Arc::default(),
        }
    }

    /// Takes a permit for this address; `None` if all are taken.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Permit> {
        let mut taken = self.taken();
        let count = taken.entry(address).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Permit {
            address,
            permits: self.clone(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}
