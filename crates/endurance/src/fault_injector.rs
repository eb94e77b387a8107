//! Injects the faults of a schedule.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use loadgen::NativeClient;

use crate::{
    active_faults::FaultSet,
    cluster::{Cluster, DeployedModel, RegistrySnapshot},
    disconnect,
    ledger::Ledger,
    load::{TIMEOUT, native_target},
    progress::RunProgress,
    run_state::RunState,
    schedule::{FaultAction, FaultSchedule},
    verifying_client::VerifyingClient,
};

/// Queries that each client sends before it disconnects.
const QUERIES: u32 = 100;

/// Time between two checks of the cluster.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Injects faults, and checks that the frontend keeps its state over restarts.
pub struct FaultInjector<'a> {
    cluster: &'a mut Cluster,
    state: &'a RunState,
    /// Model that disconnecting clients send queries to.
    model: DeployedModel,
    context: zmq::Context,
    /// State that the frontend must have after a restart.
    expected: RegistrySnapshot,
    /// Set while the frontend has been started and has not answered yet.
    starting: bool,
    /// Number of kills of the frontend.
    kills: usize,
    disconnecting: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    violations: Vec<String>,
}

impl<'a> FaultInjector<'a> {
    /// Creates an injector for a cluster whose replicas are all registered.
    pub fn new(
        cluster: &'a mut Cluster,
        state: &'a RunState,
        model: &DeployedModel,
    ) -> anyhow::Result<FaultInjector<'a>> {
        Ok(FaultInjector {
            expected: cluster.registry()?,
            cluster,
            state,
            model: model.clone(),
            context: zmq::Context::new(),
            starting: false,
            kills: 0,
            disconnecting: Vec::new(),
            violations: Vec::new(),
        })
    }

    /// Runs the schedule until its end, then waits until all replicas are registered again. Returns the
    /// violations.
    ///
    /// # Errors
    /// If interrupted, or a process exits without being killed.
    pub fn run(
        mut self,
        schedule: &FaultSchedule,
        progress: &mut RunProgress,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Vec<String>> {
        let start = Instant::now();
        let mut events = schedule.events.iter().peekable();
        while let Some(event) = events.peek()
            && !interrupted.load(Relaxed)
        {
            let now = start.elapsed();
            let faults = FaultSet::of(schedule.active_at(now));
            self.state.faults.set(faults);
            if event.at <= now {
                self.execute(event.action)?;
                events.next();
                continue;
            }
            self.check()?;
            let names: Vec<_> = faults.kinds().map(|fault| fault.name()).collect();
            progress.update(self.state, &format!("; {}", names.join(", ")));
            thread::sleep((event.at - now).min(CHECK_INTERVAL));
        }
        if interrupted.load(Relaxed) {
            anyhow::bail!("interrupted before the end of the schedule: no verdict");
        }
        self.cluster.wait_until(
            "all replicas have registered again after the last fault",
            Cluster::all_registered,
        )?;
        self.check()?;
        self.check_state()?;
        self.state.faults.set(FaultSet::NONE);
        for client in self.disconnecting {
            match client.join() {
                Ok(result) => result?,
                Err(_) => anyhow::bail!("a client thread panicked: see its message above"),
            }
        }
        Ok(self.violations)
    }

    /// Takes one action of the schedule.
    fn execute(&mut self, action: FaultAction) -> anyhow::Result<()> {
        match action {
            FaultAction::KillReplica(replica) => self.cluster.kill_replica(replica),
            FaultAction::StartReplica(replica) => self.cluster.start_replica(replica)?,
            FaultAction::StopReplica(replica) => self.cluster.set_replica_stopped(replica, true),
            FaultAction::ContinueReplica(replica) => {
                self.cluster.set_replica_stopped(replica, false);
            }
            FaultAction::KillFrontend => self.kill_frontend()?,
            FaultAction::StartFrontend => {
                self.cluster.restart_frontend()?;
                self.starting = true;
            }
            FaultAction::DisconnectClients(clients) => self.disconnect_clients(clients)?,
        }
        Ok(())
    }

    /// Kills the frontend right after it has acknowledged a new application, which must survive.
    fn kill_frontend(&mut self) -> anyhow::Result<()> {
        if !self.starting {
            self.kills += 1;
            self.cluster
                .add_application(&format!("kept-{}", self.kills))?;
            self.expected = self.cluster.registry()?;
        }
        self.state.faults.start_outage();
        self.cluster.kill_frontend();
        self.starting = false;
        Ok(())
    }

    /// Checks that no process has exited by itself and, once a restarted frontend answers, its state.
    fn check(&mut self) -> anyhow::Result<()> {
        self.cluster.check()?;
        if self.starting && self.cluster.answers() {
            self.starting = false;
            self.state.faults.end_outage();
            self.check_state()?;
        }
        Ok(())
    }

    /// Records a violation if the frontend's state is not the expected one.
    fn check_state(&mut self) -> anyhow::Result<()> {
        if self.cluster.registry()? != self.expected {
            let kills = self.kills;
            let changed = "applications, models, versions or links have changed";
            self.violations
                .push(format!("after kill {kills} of the frontend, {changed}"));
        }
        Ok(())
    }

    /// Starts a thread in which clients over ZeroMQ and REST, one after the other, send queries and
    /// disconnect. The frontend may be down meanwhile.
    fn disconnect_clients(&mut self, clients: usize) -> anyhow::Result<()> {
        let ports = self.cluster.ports();
        let (app, workload) = (self.model.name, self.model.workload.clone());
        let target = native_target(&self.model, ports);
        let mut native = Vec::new();
        for _ in 0..clients.div_ceil(2) {
            let ledger = Ledger::new(self.model.objective, TIMEOUT);
            let connection = Box::new(NativeClient::open(&self.context, &target)?);
            let workload = workload.clone();
            let client = VerifyingClient::new(u32::MAX, workload, ledger, connection, usize::MAX);
            native.push(client);
        }
        let disconnect = move || {
            for _ in 0..clients / 2 {
                // Fails if the frontend is down, which is no violation.
                let _ = disconnect::send_and_disconnect(app, &workload, QUERIES, ports);
            }
            let limit = Duration::from_secs(2);
            native
                .into_iter()
                .try_for_each(|client| client.send_and_disconnect(QUERIES as usize, limit))
        };
        self.disconnecting.push(thread::spawn(disconnect));
        Ok(())
    }
}
