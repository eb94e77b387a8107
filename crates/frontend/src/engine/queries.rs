//! Clients: their connects and requests.

use scheduler::{Arriving, Refusal};
use transport::recv;
use wire::query;

use super::{Engine, TURN};
use crate::clients::{Ended, Origin, Outcome, Pending};

impl Engine {
    pub(super) fn take_connects(&mut self) -> zmq::Result<usize> {
        for taken in 0..TURN {
            if !recv(&mut self.sockets.answers, &mut self.message)? {
                return Ok(taken);
            }
            self.clients
                .on_connect(&mut self.sockets.answers, &mut self.message);
        }
        Ok(TURN)
    }

    pub(super) fn take_requests(&mut self) -> zmq::Result<usize> {
        for taken in 0..TURN {
            if !recv(&mut self.sockets.requests, &mut self.message)? {
                return Ok(taken);
            }
            self.on_request();
        }
        Ok(TURN)
    }

    fn on_request(&mut self) {
        let request = match query::Request::decode(self.message.get(1..).unwrap_or_default()) {
            Ok(request) => request,
            Err(error) => return self.clients.complain(&error),
        };
        if request
            .session
            .is_some_and(|session| session != self.session)
        {
            return self.clients.complain(&"a request of an earlier session");
        }
        let origin = Origin::Zmq {
            client: request.client_id,
            request: request.request_id,
        };
        let arriving = Arriving {
            app: request.app,
            version: None,
            input_type: request.input_type,
            within: request.deadline,
            size: request.input.as_ref().len(),
            payload: Pending {
                origin,
                input: request.input.keep(),
            },
        };
        let now = self.clock.elapsed();
        if let Err((pending, refusal)) = self.scheduler.on_query(arriving, now) {
            self.refuse(&pending, refusal);
        }
    }

    /// Answers a query that the scheduler does not take.
    pub(super) fn refuse(&mut self, pending: &Pending, refusal: Refusal) {
        let app = match &refusal {
            Refusal::InputType { app, .. } | Refusal::Overloaded { app, .. } => Some(app.clone()),
            Refusal::UnknownApp | Refusal::UnknownVersion(_) => None,
        };
        self.metrics.refused(&refusal, self.clock.elapsed());
        let default = app.as_ref().map(|app| app.default_output.as_bytes());
        let outcome = Outcome::without_output(Ended::Refused(refusal), default.unwrap_or_default());
        let socket = &mut self.sockets.answers;
        self.clients.answer(socket, pending, &outcome);
    }
}
