//! Makes the faults of a schedule, one after the other.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use loadgen::NativeClient;

use crate::{
    asker::Asker,
    ledger::Ledger,
    load::{PATIENCE, native_target},
    progress::Progress,
    scene::{Deployed, Registered, Scene},
    schedule::{Action, Schedule},
    shared::Shared,
    vanish::vanish_over_rest,
    weather::Faults,
};

/// Queries that each client asks before it vanishes.
const QUERIES: u32 = 100;

/// The frontend is looked at so often while it starts.
const TICK: Duration = Duration::from_millis(20);

/// Makes faults, and keeps what the frontend must remember.
pub struct FaultInjector<'a> {
    scene: &'a mut Scene,
    shared: &'a Shared,
    /// Whom vanishing clients ask.
    asked: Deployed,
    context: zmq::Context,
    expected: Registered,
    /// The frontend has been started and has not answered yet.
    starting: bool,
    kills: usize,
    vanishing: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    violations: Vec<String>,
}

impl<'a> FaultInjector<'a> {
    /// Makes faults in a scene that is whole.
    pub fn new(
        scene: &'a mut Scene,
        shared: &'a Shared,
        asked: &Deployed,
    ) -> anyhow::Result<FaultInjector<'a>> {
        Ok(FaultInjector {
            expected: scene.registered()?,
            scene,
            shared,
            asked: asked.clone(),
            context: zmq::Context::new(),
            starting: false,
            kills: 0,
            vanishing: Vec::new(),
            violations: Vec::new(),
        })
    }

    /// Goes through the schedule, until its end or an interrupt, and waits until the scene is whole again. Answers what
    /// was violated.
    pub fn conduct(
        mut self,
        schedule: &Schedule,
        progress: &mut Progress,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Vec<String>> {
        let began = Instant::now();
        let mut events = schedule.events.iter().peekable();
        while let Some(event) = events.peek()
            && !interrupted.load(Relaxed)
        {
            let now = began.elapsed();
            let faults = Faults::of(schedule.at(now));
            self.shared.weather.set(faults);
            if event.at <= now {
                self.act(event.action)?;
                events.next();
                continue;
            }
            self.look()?;
            let names: Vec<_> = faults.kinds().map(|fault| fault.name()).collect();
            progress.tell(self.shared, &format!("; {}", names.join(", ")));
            thread::sleep((event.at - now).min(TICK));
        }
        if interrupted.load(Relaxed) {
            anyhow::bail!("stopped before it could tell anything");
        }
        let whole = |scene: &Scene| scene.is_whole();
        self.scene.wait(
            "all replicas are registered again after the last fault",
            whole,
        )?;
        self.look()?;
        self.compare()?;
        self.shared.weather.set(Faults::NONE);
        for client in self.vanishing {
            match client.join() {
                Ok(done) => done?,
                Err(_) => anyhow::bail!("a client panicked: see above"),
            }
        }
        Ok(self.violations)
    }

    fn act(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::KillReplica(replica) => self.scene.kill_replica(replica),
            Action::StartReplica(replica) => self.scene.start_replica(replica)?,
            Action::StopReplica(replica) => self.scene.stop_replica(replica, true),
            Action::ContinueReplica(replica) => self.scene.stop_replica(replica, false),
            Action::KillFrontend => self.kill_frontend()?,
            Action::StartFrontend => {
                self.scene.restart_frontend()?;
                self.starting = true;
            }
            Action::Vanish(clients) => self.vanish(clients)?,
        }
        Ok(())
    }

    /// What the frontend has said to be done must be there after it has died the next moment.
    fn kill_frontend(&mut self) -> anyhow::Result<()> {
        if !self.starting {
            self.kills += 1;
            self.scene
                .add_application(&format!("kept-{}", self.kills))?;
            self.expected = self.scene.registered()?;
        }
        self.shared.weather.frontend_goes();
        self.scene.kill_frontend();
        self.starting = false;
        Ok(())
    }

    /// Whether the frontend has come back, with what it must remember; and whether all run that should.
    fn look(&mut self) -> anyhow::Result<()> {
        self.scene.check()?;
        if self.starting && self.scene.answers() {
            self.starting = false;
            self.shared.weather.frontend_is_back();
            self.compare()?;
        }
        Ok(())
    }

    fn compare(&mut self) -> anyhow::Result<()> {
        if self.scene.registered()? != self.expected {
            let kills = self.kills;
            let what = "applications, models, versions or links are not those from before";
            self.violations
                .push(format!("after kill {kills} of the frontend, {what}"));
        }
        Ok(())
    }

    /// Clients that are gone before they are answered, one after the other over ZeroMQ and REST, in a thread of their
    /// own: the frontend may not be there.
    fn vanish(&mut self, clients: usize) -> anyhow::Result<()> {
        let ports = self.scene.ports();
        let (app, questions) = (self.asked.name, self.asked.questions.clone());
        let target = native_target(&self.asked, ports);
        let mut native = Vec::new();
        for _ in 0..clients.div_ceil(2) {
            let ledger = Ledger::new(self.asked.objective, PATIENCE);
            let client = Box::new(NativeClient::open(&self.context, &target)?);
            let questions = questions.clone();
            native.push(Asker::new(u32::MAX, questions, ledger, client, usize::MAX));
        }
        let vanish = move || {
            for _ in 0..clients / 2 {
                // If nobody is there, nobody is asked.
                let _ = vanish_over_rest(app, &questions, QUERIES, ports);
            }
            let limit = Duration::from_secs(2);
            native
                .into_iter()
                .try_for_each(|client| client.vanish(QUERIES as usize, limit))
        };
        self.vanishing.push(thread::spawn(vanish));
        Ok(())
    }
}
