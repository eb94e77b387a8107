//! Receives connect messages and requests of clients.

use scheduler::{Query, QueryKey, Refusal, Refused};
use transport::Frame;
use wire::{query, rpc::Version};

use super::{Engine, MESSAGES_PER_TURN};
use crate::{
    clients::{Origin, QueryPayload},
    query_result::{QueryResult, QueryStatus},
    timeline::Timeline,
};

impl Engine {
    pub(super) fn receive_connects(&mut self) -> zmq::Result<()> {
        for _ in 0..MESSAGES_PER_TURN {
            if !self.sockets.answers.recv(&mut self.message)? {
                break;
            }
            self.clients
                .on_connect(&mut self.sockets.answers, &mut self.message);
        }
        Ok(())
    }

    pub(super) fn receive_requests(&mut self) -> zmq::Result<()> {
        for _ in 0..MESSAGES_PER_TURN {
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
        let request = match query::QueryRequest::decode(frames) {
            Ok(request) => request,
            Err(error) => return self.clients.log_drop(sender, &error),
        };
        if request
            .session
            .is_some_and(|session| session != self.session)
        {
            return self
                .clients
                .log_drop(sender, &"a request of an earlier session");
        }
        let origin = Origin::Zmq {
            client: request.client_id,
            request: request.request_id,
        };
        if !self.clients.is_connected(request.client_id) {
            return self
                .clients
                .log_drop(sender, &"a request with an unknown client id");
        }
        let payload = QueryPayload {
            origin,
            input: request.input.keep(),
        };
        let arrived = self.clock.elapsed();
        let Some(application) = self.catalog.app(request.app) else {
            let timeline = Timeline::unsent(arrived, arrived);
            return self.refuse(request.app, &payload, Refusal::UnknownApp, timeline);
        };
        let app = application.app.clone();
        let objective = request.deadline.unwrap_or(app.objective);
        let model = application.model.as_ref();
        self.on_query(Query {
            app,
            model: model.and_then(|model| model.current.clone()),
            input_type: request.input_type,
            size: request.input.as_ref().len(),
            fingerprint: None,
            arrived,
            deadline: arrived.saturating_add(objective),
            payload,
        });
    }

    /// Answers a query from the cache, passes it to the scheduler, or refuses it. Returns the key
    /// by which it can be cancelled, if it is in flight.
    pub(super) fn on_query(&mut self, mut query: Query<QueryPayload>) -> Option<QueryKey> {
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

    /// Cancels a query, because its client disconnected.
    pub(super) fn cancel(&mut self, query: QueryKey) {
        if self.scheduler.cancel(query).is_some() {
            self.metrics.abandoned();
        }
    }

    /// Cancels the queries of clients that turned out to be disconnected when an answer was sent.
    pub(super) fn cancel_queries_of_lost_clients(&mut self) {
        if !self.clients.take_client_lost() {
            return;
        }
        let unanswered = self.scheduler.unanswered();
        let orphaned = unanswered.filter(|(_, payload)| !self.clients.is_reachable(payload));
        let orphaned: Vec<QueryKey> = orphaned.map(|(query, _)| query).collect();
        orphaned.into_iter().for_each(|query| self.cancel(query));
    }

    /// Answers a query from the cache, and returns true. If the cache has no answer, sets the
    /// query's fingerprint and returns false.
    fn answer_from_cache(&mut self, query: &mut Query<QueryPayload>) -> bool {
        let (Some(cache), Some(model)) = (&self.cache, &query.model) else {
            return false;
        };
        let (app, input) = (&query.app, query.payload.input.as_ref());
        // An input that some dialects cannot carry has no answer that holds for every replica.
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

    /// Answers a refused query. The output is the default output, or empty if the application is
    /// unknown.
    fn refuse(&mut self, app: &str, payload: &QueryPayload, refusal: Refusal, timeline: Timeline) {
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
        self.clients.answer(socket, payload, &result);
    }
}
