//! A client that asks, over any of the load generator's connections, and accounts for every query.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use loadgen::{Arrivals, Client, Error};
use model::Output;
use transport::Frame;
use wire::query::{Answer, Status};

use crate::{
    due::Due,
    ledger::{Ending, Ledger},
    questions::Questions,
    shared::Shared,
    weather::{Sky, Weather},
};

/// A client looks at what it shares with the others so often at least.
const LOOK: Duration = Duration::from_millis(20);

/// So many sends, or receives, in a row.
const TURN: usize = 64;

/// How long a client waits for its connection before it asks.
const CONNECTING: Duration = Duration::from_secs(5);

/// A client of one application.
pub struct Asker {
    number: u32,
    questions: Arc<Questions>,
    ledger: Ledger,
    client: Box<dyn Client>,
    most_open: usize,
}

impl Asker {
    /// A client with this number, with no more than `most_open` queries open at any time.
    pub fn new(
        number: u32,
        questions: Arc<Questions>,
        ledger: Ledger,
        client: Box<dyn Client>,
        most_open: usize,
    ) -> Asker {
        Asker {
            number,
            questions,
            ledger,
            client,
            most_open,
        }
    }

    /// Its account.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Asks until all are stopped, then waits for what is open, but not beyond its patience.
    pub fn run(&mut self, arrivals: &Arrivals, shared: &Shared) -> anyhow::Result<()> {
        self.await_connection(CONNECTING)?;
        let mut due = Due::new(arrivals, self.most_open, Instant::now());
        let mut noted = self.ledger.progress();
        let mut looked = Instant::now();
        let mut stopped: Option<Instant> = None;
        loop {
            let mut now = Instant::now();
            let sky = shared.weather.look(now);
            if now - looked >= LOOK {
                looked = now;
                shared.note(self.ledger.progress(), &mut noted);
                if stopped.is_none() && shared.stopped() {
                    stopped = Some(now);
                }
            }
            let mut wake = None;
            if let Some(since) = stopped {
                if self.ledger.open() == 0 || now - since > self.ledger.patience() {
                    return Ok(());
                }
            } else {
                for _ in 0..TURN {
                    wake = due.next(now, self.ledger.open());
                    if wake.is_none_or(|due| due > now) {
                        break;
                    }
                    due.asked();
                    self.ask(now, sky)?;
                    now = Instant::now();
                }
            }
            if !self.hear(&shared.weather)? {
                let limit = wake.map_or(LOOK, |wake| wake.saturating_duration_since(now).min(LOOK));
                self.client.wait(Some(limit))?;
            }
        }
    }

    /// Connects, asks so many queries, and goes without a word when the first is answered. None of this takes longer
    /// than `limit`.
    pub fn vanish(mut self, queries: usize, limit: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        if self.await_connection(limit)? {
            (0..queries).try_for_each(|_| self.ask(Instant::now(), Sky::default()))?;
        }
        while self.ledger.open() == queries && began.elapsed() < limit {
            if !self.hear(&Weather::default())? {
                self.client.wait(Some(LOOK))?;
            }
        }
        Ok(())
    }

    /// Waits until it is connected; false if it is not within `limit`.
    fn await_connection(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let began = Instant::now();
        while !self.client.is_connected() {
            if began.elapsed() > limit {
                return Ok(false);
            }
            if !self.hear(&Weather::default())? {
                self.client.wait(Some(LOOK))?;
            }
        }
        Ok(true)
    }

    fn ask(&mut self, now: Instant, sky: Sky) -> anyhow::Result<()> {
        let number = self.ledger.ask(now, sky);
        let input = Frame::from(self.questions.input(self.number, number));
        match self.client.send(number, &input) {
            Err(Error::Unreachable) => self.ledger.end(number, Ending::Unreachable, now, sky),
            sent => sent.context("cannot send a query")?,
        }
        Ok(())
    }

    /// Takes what has come; false if that is nothing.
    fn hear(&mut self, weather: &Weather) -> anyhow::Result<bool> {
        for turn in 0..TURN {
            let received = self.client.receive();
            let now = Instant::now();
            let sky = weather.look(now);
            let failed = match received {
                Ok(None) => return Ok(turn > 0),
                Ok(Some(answer)) => {
                    let ending = ending(&self.questions, self.number, &answer);
                    self.ledger.end(answer.request_id, ending, now, sky);
                    continue;
                }
                Err(Error::Disconnected) => Ending::CutOff,
                Err(Error::Unreachable) => Ending::Unreachable,
                Err(Error::TimedOut) => Ending::Lost,
                Err(error) => return Err(error).context("cannot receive an answer"),
            };
            self.ledger.end_all(&failed, now, sky);
        }
        Ok(true)
    }
}

/// How a query of client number `client` ended with an answer.
fn ending(questions: &Questions, client: u32, answer: &Answer<'_>) -> Ending {
    let reason = || answer.reason.to_owned();
    match answer.status {
        Status::Ok => {
            let output = Output::read(answer.output_type, answer.output);
            let right = |output| questions.is_right(client, answer.request_id, &output);
            match output.is_ok_and(right) {
                true => Ending::Right,
                false => Ending::Wrong,
            }
        }
        Status::Default => Ending::Default(reason()),
        Status::Refused => Ending::Refused(reason()),
        Status::Error => Ending::Failed(reason()),
    }
}
