//! Predictions on their way to the frontend: how each dialect writes them.

use super::{parts::open, *};
use crate::Frame;

impl Reply {
    /// Appends the frames of the response: version 4 where there is a session, else version 3, where every output
    /// is text and an input that failed is answered with the reason as text.
    pub fn encode<F: Frame>(&self, out: &mut Vec<F>) {
        open(out, CONTENT);
        match self.session {
            Some(session) => v4::encode_response(self, session, out),
            None => v3::encode_response(self, out),
        }
    }

    /// Appends the frames of the response in the dialect of 2017. Doubles go as text, as in version 3. An input that failed
    /// is answered with the reason where the outputs are text, else with an output without elements.
    pub fn encode_2017<F: Frame>(&self, out: &mut Vec<F>) {
        open(out, CONTENT);
        v2017::encode_response(self, out);
    }

    /// Appends the frames of the response in the high-performance dialect, with outputs as in 2017, for the port for
    /// responses. The times must count from the Unix epoch.
    pub fn encode_high_perf<F: Frame>(&self, connection: u32, out: &mut Vec<F>) {
        high_perf::encode_response(self, connection, out);
    }
}
