//! Runs of a simulation, spread over the cores.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Returns the outcomes of `runs` runs, each with random numbers of its own, in any order.
pub fn outcomes<T: Send>(
    runs: u64,
    seed: u64,
    run: impl Fn(&mut Xoshiro256PlusPlus) -> T + Sync,
) -> Vec<T> {
    let next = AtomicU64::new(0);
    let all = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= runs {
                break;
            }
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed << 32 | index);
            let outcome = run(&mut random);
            all.lock().expect("no run panics").push(outcome);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(worker)));
    });
    all.into_inner().expect("no run panics")
}
