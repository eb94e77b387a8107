//! Clients: their connects and requests.

use scheduler::{Arriving, Now, QueryKey, Refusal};
use transport::Frame;
use wire::{query, rpc::Version};

use super::{Engine, TURN};
use crate::{
    clients::{Origin, Pending},
    query_result::{QueryResult, QueryStatus},
    timeline::Timeline,
};

impl Engine {
    pub(super) fn take_connects(&mut self) -> zmq::Result<()> {
        for _ in 0..TURN {
            if !self.sockets.answers.recv(&mut self.message)? {
                break;
            }
            self.clients
                .on_connect(&mut self.sockets.answers, &mut self.message);
        }
        Ok(())
    }

    pub(super) fn take_requests(&mut self) -> zmq::Result<()> {
        for _ in 0..TURN {
            if !self.sockets.requests.recv(&mut self.message)? {
                break;
            }
            let message = std::mem::take(&mut self.message);
            self.on_request(&message);
            self.message = message;
        }
        Ok(())
    }

    fn on_request(&mut self, message: &[Frame]) {
        let Some((sender, frames)) = message.split_first() else {
            return;
        };
        let request = match query::Request::decode(frames) {
            Ok(request) => request,
            Err(error) => return self.clients.complain(sender, &error),
        };
        if request
            .session
            .is_some_and(|session| session != self.session)
        {
            return self
                .clients
                .complain(sender, &"a request of an earlier session");
        }
        let origin = Origin::Zmq {
            client: request.client_id,
            request: request.request_id,
        };
        if !self.clients.knows(request.client_id) {
            return self
                .clients
                .complain(sender, &"a request of a client that is gone");
        }
        let arriving = Arriving {
            app: request.app,
            version: None,
            input_type: request.input_type,
            within: request.deadline,
            size: request.input.as_ref().len(),
            fingerprint: None,
            payload: Pending {
                origin,
                input: request.input.keep(),
            },
        };
        self.on_query(arriving);
    }

    /// Takes a query, wherever it comes from; answers by what name it can be taken back, if it is under way.
    pub(super) fn on_query(&mut self, mut arriving: Arriving<'_, Pending>) -> Option<QueryKey> {
        let now = self.clock.elapsed();
        if self.answer_from_cache(&mut arriving, now) {
            return None;
        }
        let app = arriving.app;
        match self.scheduler.on_query(arriving, now) {
            Ok(query) => query,
            Err((pending, refusal)) => {
                self.refuse(app, &pending, refusal, now);
                None
            }
        }
    }

    /// A query's client is gone.
    pub(super) fn take_back(&mut self, query: QueryKey) {
        if self.scheduler.take_back(query).is_some() {
            self.metrics.abandoned();
        }
    }

    /// Takes back what clients asked that an answer has found to be gone.
    pub(super) fn take_back_of_lost(&mut self) {
        if !self.clients.has_lost() {
            return;
        }
        let waiting = self.scheduler.waiting();
        let unwanted = waiting.filter(|(_, pending)| !self.clients.waits(pending));
        let unwanted: Vec<QueryKey> = unwanted.map(|(query, _)| query).collect();
        unwanted.into_iter().for_each(|query| self.take_back(query));
    }

    /// False if the cache has no answer: then the query knows what its input is called there.
    fn answer_from_cache(&mut self, arriving: &mut Arriving<'_, Pending>, now: Now) -> bool {
        let Some(cache) = &self.cache else {
            return false;
        };
        let destination = self.scheduler.destination(arriving.app, arriving.version);
        let Some((app, model)) = destination else {
            return false;
        };
        let input = arriving.payload.input.as_ref();
        // What some model servers cannot be sent has no answer that holds for all.
        if app.input_type != arriving.input_type || !Version::V2017.carries(app.input_type, input) {
            return false;
        }
        let fingerprint = cache.fingerprint(&model, app.input_type, input);
        let cached = cache.get(fingerprint);
        self.metrics.looked_up(&model, cached.is_some(), now);
        let Some(cached) = cached else {
            arriving.fingerprint = Some(fingerprint);
            return false;
        };
        let result = QueryResult {
            status: QueryStatus::Ok,
            output_type: cached.output_type,
            output: (&cached.output[..]).into(),
            timeline: Timeline::unsent(now, now),
        };
        self.metrics.query(&app.name, &result);
        self.traces.query(&app.name, &result);
        let door = &mut self.sockets.answers;
        self.clients.answer(door, &arriving.payload, &result);
        true
    }

    /// Answers a query that the scheduler does not take.
    fn refuse(&mut self, app: &str, pending: &Pending, refusal: Refusal, now: Now) {
        let known = match &refusal {
            Refusal::InputType { app, .. }
            | Refusal::ModelInputType { app, .. }
            | Refusal::Overloaded { app, .. }
            | Refusal::Stopping { app } => Some(app.clone()),
            Refusal::UnknownApp | Refusal::UnknownVersion(_) => None,
        };
        self.metrics.refused(&refusal);
        let default = known.as_ref().map(|app| app.default_output.as_bytes());
        let status = QueryStatus::Refused(refusal);
        let timeline = Timeline::unsent(now, now);
        let result = QueryResult::without_output(status, default.unwrap_or_default(), timeline);
        self.traces.query(app, &result);
        let door = &mut self.sockets.answers;
        self.clients.answer(door, pending, &result);
    }
}
