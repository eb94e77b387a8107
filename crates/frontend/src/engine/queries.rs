//! Clients: their connects and requests.

use scheduler::{Query, QueryKey, Refusal, Refused};
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
        let pending = Pending {
            origin,
            input: request.input.keep(),
        };
        let arrived = self.clock.elapsed();
        let Some(application) = self.catalog.app(request.app) else {
            let timeline = Timeline::unsent(arrived, arrived);
            return self.refuse(request.app, &pending, Refusal::UnknownApp, timeline);
        };
        let app = application.app.clone();
        let within = request.deadline.unwrap_or(app.objective);
        let model = application.model.as_ref();
        self.on_query(Query {
            app,
            model: model.and_then(|model| model.current.clone()),
            input_type: request.input_type,
            size: request.input.as_ref().len(),
            fingerprint: None,
            arrived,
            deadline: arrived.saturating_add(within),
            payload: pending,
        });
    }

    /// Takes a query, wherever it comes from; returns by what name it can be taken back, if it is under way.
    pub(super) fn on_query(&mut self, mut query: Query<Pending>) -> Option<QueryKey> {
        if self.answer_from_cache(&mut query) {
            return None;
        }
        match self.scheduler.on_query(query) {
            Ok(key) => key,
            Err(Refused { query, refusal }) => {
                let timeline = Timeline::unsent(query.arrived, query.arrived);
                self.refuse(&query.app.name, &query.payload, refusal, timeline);
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

    /// False if the cache has no answer: then the query gets the fingerprint of its input.
    fn answer_from_cache(&mut self, query: &mut Query<Pending>) -> bool {
        let (Some(cache), Some(model)) = (&self.cache, &query.model) else {
            return false;
        };
        let (app, input) = (&query.app, query.payload.input.as_ref());
        // What some model servers cannot be sent has no answer that holds for all.
        if app.input_type != query.input_type || !Version::V2017.carries(app.input_type, input) {
            return false;
        }
        let fingerprint = cache.fingerprint(model, app.input_type, input);
        let cached = cache.get(fingerprint);
        self.metrics
            .looked_up(model, cached.is_some(), query.arrived);
        let Some(cached) = cached else {
            query.fingerprint = Some(fingerprint);
            return false;
        };
        let result = QueryResult {
            status: QueryStatus::Ok,
            output_type: cached.output_type,
            output: (&cached.output[..]).into(),
            timeline: Timeline::unsent(query.arrived, query.arrived),
        };
        self.metrics.query(&app.name, &result);
        self.traces.query(&app.name, &result);
        let socket = &mut self.sockets.answers;
        self.clients.answer(socket, &query.payload, &result);
        true
    }

    /// Answers a query that is not taken.
    fn refuse(&mut self, app: &str, pending: &Pending, refusal: Refusal, timeline: Timeline) {
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
        let result = QueryResult::without_output(status, default.unwrap_or_default(), timeline);
        self.traces.query(app, &result);
        let socket = &mut self.sockets.answers;
        self.clients.answer(socket, pending, &result);
    }
}
