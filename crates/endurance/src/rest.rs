//! A client over REST: one query at a time, on one connection.

use std::{
    io::{self, ErrorKind, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use deploy::Ports;
use model::{DataType, Output};
use serde_json::{Value, json};
use ureq::{Agent, Body, http::Response};

use crate::{
    ledger::{Ending, Ledger},
    pace::{Pace, Pacer, Shared},
    questions::Questions,
};

/// It looks at what it shares with the others so often at least.
const LOOK: Duration = Duration::from_millis(20);

/// Says why an answer is the default output.
const REASON: &str = "clipper-default-reason";

/// A client of one application.
pub struct Rest {
    number: u32,
    url: String,
    questions: Arc<Questions>,
    ledger: Ledger,
    agent: Agent,
}

impl Rest {
    /// A client with this number.
    pub fn new(
        number: u32,
        (app, questions): (&'static str, Arc<Questions>),
        ledger: Ledger,
        ports: Ports,
    ) -> Rest {
        let config = Agent::config_builder()
            .timeout_global(Some(ledger.patience()))
            .http_status_as_error(false)
            // The frontend closes a connection that is idle for 5 s, maybe while a query is on its way.
            .max_idle_age(Duration::from_secs(2))
            .build();
        Rest {
            number,
            url: format!("http://127.0.0.1:{}/{app}/predict", ports.query_port),
            questions,
            ledger,
            agent: config.into(),
        }
    }

    /// Its account.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Asks until all are stopped.
    pub fn run(&mut self, pace: Pace, shared: &Shared) {
        let mut pacer = Pacer::new(pace, Instant::now());
        let mut noted = self.ledger.progress();
        while !shared.stopped() {
            let now = Instant::now();
            match pacer.due(now, 0) {
                Some(due) if due <= now => {
                    pacer.asked();
                    self.ask(shared);
                    shared.note(self.ledger.progress(), &mut noted);
                }
                due => {
                    let due = due.map_or(LOOK, |due| due.saturating_duration_since(now));
                    thread::sleep(due.min(LOOK));
                }
            }
        }
    }

    fn ask(&mut self, shared: &Shared) {
        let now = Instant::now();
        let number = self.ledger.ask(now, shared.weather.look(now));
        let body = format!(
            "{{\"input\":{}}}",
            input(&self.questions, self.number, number)
        );
        let response = self.agent.post(&self.url).send(&body);
        let read = response.and_then(|mut response| {
            let text = response.body_mut().read_to_string()?;
            Ok((response, text))
        });
        let ending = match read {
            Ok((response, text)) => self.ending(number, &response, &text),
            Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                Ending::Unreachable
            }
            Err(ureq::Error::Timeout(_)) => Ending::Lost,
            Err(_) => Ending::CutOff,
        };
        let now = Instant::now();
        self.ledger
            .end(number, ending, now, shared.weather.look(now));
    }

    fn ending(&self, number: u32, response: &Response<Body>, text: &str) -> Ending {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        if !response.status().is_success() {
            let cause = body["cause"].as_str().unwrap_or(text);
            return Ending::Refused(cause.to_owned());
        }
        if body["default"] == json!(true) {
            let reason = response.headers().get(REASON);
            let reason = reason.and_then(|reason| reason.to_str().ok());
            return Ending::Default(reason.unwrap_or_default().to_owned());
        }
        let output = output(&self.questions, &body["output"]);
        match output.is_some_and(|output| self.questions.is_right(self.number, number, &output)) {
            true => Ending::Right,
            false => Ending::Wrong,
        }
    }
}

/// A client that asks so many queries in one request, and goes before they are answered.
pub fn vanish(app: &str, questions: &Questions, queries: u32, ports: Ports) -> io::Result<()> {
    let inputs: Vec<_> = (0..queries)
        .map(|number| input(questions, u32::MAX, number))
        .collect();
    let body = format!("{{\"input_batch\":[{}]}}", inputs.join(","));
    let mut stream = TcpStream::connect(("127.0.0.1", ports.query_port))?;
    let length = body.len();
    write!(
        stream,
        "POST /{app}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A query's input in JSON.
fn input(questions: &Questions, client: u32, number: u32) -> String {
    let input = questions.input(client, number);
    let input = Output::read(questions.input_type(), &input);
    input.map(|input| input.to_text()).unwrap_or_default()
}

/// Numbers as the model answered them: ints where the inputs are, as the model server `digest` does, else floats.
fn output(questions: &Questions, json: &Value) -> Option<Output> {
    let values = json.as_array()?.iter();
    match questions.input_type() {
        DataType::Ints => {
            let ints = values.map(|value| i32::try_from(value.as_i64()?).ok());
            ints.collect::<Option<_>>().map(Output::Ints)
        }
        _ => {
            let floats = values.map(|value| Some(value.as_f64()? as f32));
            floats.collect::<Option<_>>().map(Output::Floats)
        }
    }
}
