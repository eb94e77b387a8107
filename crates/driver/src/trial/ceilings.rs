//! The ceilings of the load generator, its maximum rates, by number of queries in flight.

use std::{cell::RefCell, collections::BTreeMap};

use crate::error::Error;

/// Share of a ceiling above which it is measured again.
const NEAR: f64 = 0.5;

/// The ceilings that have been measured, in queries per second.
#[derive(Debug, Default)]
pub struct Ceilings(RefCell<BTreeMap<usize, f64>>);

impl Ceilings {
    /// Returns the ceiling with `in_flight` queries, for a trial that reached the rate `reached`. It is measured at
    /// the first call, and again if the trial came near it: another process may have slowed the first measurement
    /// down.
    ///
    /// # Errors
    /// The error of `measure`.
    pub fn at(
        &self,
        in_flight: usize,
        reached: f64,
        measure: impl Fn() -> Result<f64, Error>,
    ) -> Result<f64, Error> {
        let known = self.0.borrow().get(&in_flight).copied();
        let mut ceiling = known.map_or_else(&measure, Ok)?;
        if reached > NEAR * ceiling {
            ceiling = ceiling.max(measure()?);
        }
        self.0.borrow_mut().insert(in_flight, ceiling);
        Ok(ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_ceiling_is_measured_again_near_it() {
        let (ceilings, measured) = (Ceilings::default(), Cell::new(0));
        let at = |in_flight, reached, rate| {
            let measure = || {
                measured.set(measured.get() + 1);
                Ok(rate)
            };
            ceilings.at(in_flight, reached, measure).unwrap()
        };
        assert_eq!((at(64, 100.0, 1000.0), measured.get()), (1000.0, 1));
        assert_eq!((at(64, 500.0, 7.0), measured.get()), (1000.0, 1));
        // Each number of queries in flight has its own ceiling.
        assert_eq!((at(512, 100.0, 3000.0), measured.get()), (3000.0, 2));
        assert_eq!((at(64, 900.0, 2000.0), measured.get()), (2000.0, 3));
        assert_eq!((at(64, 1900.0, 1500.0), measured.get()), (2000.0, 4));
    }
}
