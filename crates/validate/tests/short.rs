//! The short form of `make validate`.

use validate::{intervals, promises};

#[test]
fn intervals_keep_their_promises() {
    for stalls in [false, true] {
        let counts = intervals::simulate(true, stalls, |_| ());
        for promise in promises::of_intervals(&counts, stalls) {
            // A hundred runs give a coverage to 2 % and a width to 10 %: the long form decides.
            let width = promise.name.contains("half-width");
            assert!(promise.kept || width, "{promise}");
        }
    }
}
