//! The threads that compute one batch. They are kept between batches: to start one takes as long as a small batch.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// The calling thread and any number of helpers.
pub(crate) struct Threads {
    helpers: Option<ThreadPool>,
}

impl Threads {
    /// The calling thread alone.
    pub(crate) const ONE: Threads = Threads { helpers: None };

    /// As many threads as `count` says, the calling one included; 0 counts as 1.
    pub(crate) fn new(count: usize) -> Result<Threads, ThreadPoolBuildError> {
        if count <= 1 {
            return Ok(Threads::ONE);
        }
        let helpers = ThreadPoolBuilder::new().num_threads(count - 1).build()?;
        Ok(Threads {
            helpers: Some(helpers),
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let helpers = self.helpers.as_ref();
        1 + helpers.map_or(0, ThreadPool::current_num_threads)
    }

    /// Does `work` on each of `parts`, on the calling thread and the helpers, and returns when all is done.
    pub(crate) fn share<P: Send>(
        &self,
        parts: impl IntoIterator<Item = P>,
        work: impl Fn(P) + Sync,
    ) {
        let Some(helpers) = &self.helpers else {
            return parts.into_iter().for_each(work);
        };
        let mut parts = parts.into_iter();
        let own = parts.next();
        let work = &work;
        helpers.in_place_scope(|scope| {
            for part in parts {
                scope.spawn(move |_| work(part));
            }
            own.map(work);
        });
    }
}
