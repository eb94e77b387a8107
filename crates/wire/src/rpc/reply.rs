//! Encoding of predictions in each dialect.

use super::{parts::open, *};
use crate::MessageFrame;

impl Reply {
    /// Appends the frames of the response, in version 4 with a session, otherwise in version 3.
    /// There every output is text, and the output of a failed input is the reason.
    pub fn encode<F: MessageFrame>(&self, out: &mut Vec<F>) {
        open(out, CONTENT);
        match self.session {
            Some(session) => v4::encode_response(self, session, out),
            None => v3::encode_response(self, out),
        }
    }

    /// Appends the frames of the response in the dialect of 2017. Doubles are sent as text, as in
    /// version 3. The output of a failed input is the reason if outputs are text, otherwise it is
    /// empty.
    pub fn encode_2017<F: MessageFrame>(&self, out: &mut Vec<F>) {
        open(out, CONTENT);
        v2017::encode_response(self, out);
    }

    /// Appends the frames of the response in the high-performance dialect, to the port for
    /// responses, with outputs as in
    /// 2017. The times must count from the Unix epoch.
    pub fn encode_high_perf<F: MessageFrame>(&self, connection: u32, out: &mut Vec<F>) {
        high_perf::encode_response(self, connection, out);
    }
}
