//! When a query passed where, as Clipper's high-performance generation tells its clients.

use crate::Frame;

/// When a query passed where, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// It came, and was queued at once.
    pub arrived: u64,
    /// Its batch was made and sent; `None` if it was in none.
    pub sent: Option<u64>,
    /// When the model server had the batch; `None` if it does not say.
    pub container: Option<ContainerTimes>,
    /// The response came back, or the query ended without one, and the answer was sent.
    pub answered: u64,
}

/// When a model server had a batch, in microseconds by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerTimes {
    /// It received the batch.
    pub received: u64,
    /// It sent the response.
    pub sent: u64,
}

impl Lineage {
    /// The most entries that a lineage has.
    const MOST: usize = 12;

    /// Appends the number of entries, and a frame with the name and one with the time of each, in the order of time.
    ///
    /// Clipper's frontend takes its entries in several threads. Here some of them are one step of one thread, and have
    /// one time; those of steps that did not happen are left out.
    pub(super) fn encode<F: Frame>(&self, out: &mut Vec<F>) {
        let answered = Some(self.answered);
        let back = self.sent.and(answered);
        let received = self.container.map(|times| times.received);
        let replied = self.container.map(|times| times.sent);
        let entries: [(&str, Option<u64>); Lineage::MOST] = [
            ("clipper::frontend_rpc_recv", Some(self.arrived)),
            ("clipper::task_enqueued", Some(self.arrived)),
            ("clipper::task_dequeued", self.sent),
            ("clipper::sent_rpc", self.sent),
            ("container::recv", received),
            ("container::send", replied),
            ("clipper::rpc_recv", back),
            ("clipper::task_executor_recv", back),
            ("clipper::task_executor_recv_end", back),
            ("clipper::task_executor_msg_callback_found", back),
            ("clipper::zmq_frontend_response_callback", answered),
            ("clipper::frontend_rpc_response_send", answered),
        ];
        let happened = || {
            entries
                .iter()
                .filter_map(|(name, time)| Some((name, (*time)?)))
        };
        let count = u32::try_from(happened().count()).expect("there are twelve at most");
        out.push(F::copied(&count.to_le_bytes()));
        for (name, time) in happened() {
            out.push(F::copied(name.as_bytes()));
            out.push(F::copied(&time.to_le_bytes()));
        }
    }
}
