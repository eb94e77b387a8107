//! Timestamps of a query, which Clipper's high-performance generation sends to its clients.

use crate::MessageFrame;

/// Timestamps of a query, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Arrival at the frontend, where the query is queued at once.
    pub arrived: u64,
    /// Sending of its batch; `None` without a batch.
    pub sent: Option<u64>,
    /// Timestamps of the model server; `None` if the server does not send them.
    pub container: Option<ContainerTimes>,
    /// Sending of the answer, after the response arrived or the query ended without one.
    pub answered: u64,
}

/// Timestamps of a batch in a model server, in microseconds on its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerTimes {
    /// Arrival of the batch.
    pub received: u64,
    /// Sending of the response.
    pub sent: u64,
}

impl Lineage {
    /// Maximum number of entries.
    const MAX_ENTRIES: usize = 12;

    /// Appends the number of entries, then a frame with the name and one with the time of each, in
    /// the order of time.
    ///
    /// Clipper's frontend records its entries in several threads. Here some of them are one step of
    /// one thread and have the same time. Entries of steps that did not happen are omitted.
    pub(super) fn encode<F: MessageFrame>(&self, out: &mut Vec<F>) {
        let answered = Some(self.answered);
        let back = self.sent.and(answered);
        let received = self.container.map(|times| times.received);
        let replied = self.container.map(|times| times.sent);
        let entries: [(&str, Option<u64>); Lineage::MAX_ENTRIES] = [
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
        let count = u32::try_from(happened().count()).expect("there are at most twelve entries");
        out.push(F::copied(&count.to_le_bytes()));
        for (name, time) in happened() {
            out.push(F::copied(name.as_bytes()));
            out.push(F::copied(&time.to_le_bytes()));
        }
    }
}
