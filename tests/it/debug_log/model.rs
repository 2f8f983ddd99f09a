//! Random interleavings of everything that can happen to a proxy and to those who debug it, on real Envoys: sessions
//! from several machines, `--on`, `--off`, kills, restarts, a lost network. Whatever the order, once every session has
//! ended and every machine has put back what it left on, all levels are as they were before.

use std::path::Path;
use std::time::Duration;

use meshaudit_sandbox::Sandbox;
use meshaudit_sandbox::faults::Fault;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use super::{Running, files, levels, on, start};

const POD: &str = "cart-6c4bb9f7d8-5tqvn";

/// Machines, each with state files of its own.
const MACHINES: usize = 3;

/// How many interleavings, and how long each.
const RUNS: usize = 7;
const STEPS: usize = 9;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A machine starts a session; what it sets differs.
    Start(usize, usize),
    /// A session ends by this signal.
    End(usize, &'static str),
    /// `--on`.
    On(usize),
    /// `--off POD`.
    Off(usize),
    /// `--off --all`.
    OffAll(usize),
    /// The proxy's container is restarted: its levels are those it starts with, and the kubelet says so.
    Restart,
    /// Tunnels to the pod break for a while, and with them whatever is under way.
    Loss,
    /// The API server is gone for a while.
    Down,
    /// A session is asked to end twice, as a shell and a runtime of containers do.
    EndTwice(usize),
    /// A session of which nobody reads a word is told to end.
    Unread(usize),
}

const LEVELS: [&[&str]; 3] = [&[], &["--level", "debug"], &["--level", "pool:trace,misc:debug"]];

fn step() -> impl Strategy<Value = Step> {
    use proptest::prelude::*;
    let machine = || 0..MACHINES;
    prop_oneof![
        4 => (machine(), 0..LEVELS.len()).prop_map(|(machine, levels)| Step::Start(machine, levels)),
        3 => (machine(), prop::sample::select(vec!["-INT", "-TERM", "-QUIT"])).prop_map(|(m, signal)| Step::End(m, signal)),
        2 => machine().prop_map(|machine| Step::End(machine, "-KILL")),
        1 => machine().prop_map(Step::On),
        2 => machine().prop_map(Step::Off),
        1 => machine().prop_map(Step::OffAll),
        1 => Just(Step::Restart),
        1 => Just(Step::Loss),
        1 => Just(Step::Down),
        1 => machine().prop_map(Step::EndTwice),
        1 => machine().prop_map(Step::Unread),
    ]
}

/// The world that steps are taken in.
struct World<'a> {
    sandbox: &'a Sandbox,
    machines: Vec<tempfile::TempDir>,
    sessions: Vec<Option<Running>>,
    /// Whether something happened after which a machine has to be asked to put back what it left.
    rough: bool,
}

impl World<'_> {
    fn state(&self, machine: usize) -> &Path {
        self.machines[machine].path()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Start(machine, levels) if self.sessions[machine].is_none() => {
                let args =
                    [POD, "--for", "10m", "--restore-timeout", "20s"].into_iter().chain(LEVELS[levels].iter().copied());
                let mut session = Running::start(on(self.sandbox, self.state(machine), args));
                session.until("following its log");
                self.sessions[machine] = Some(session);
            }
            Step::End(machine, signal) => self.end(machine, signal),
            Step::On(machine) => {
                on(self.sandbox, self.state(machine), ["--on", POD]).run();
                self.rough = true;
            }
            Step::Off(machine) => drop(on(self.sandbox, self.state(machine), ["--off", POD]).run()),
            Step::OffAll(machine) => drop(on(self.sandbox, self.state(machine), ["--off", "--all"]).run()),
            Step::Restart => self.sandbox.restart("shop", POD).unwrap(),
            Step::Loss => {
                self.sandbox.fault("shop", POD, Fault::Reset);
                std::thread::sleep(Duration::from_millis(700));
                self.sandbox.fault("shop", POD, None);
            }
            Step::Down => {
                self.sandbox.set_down(true).unwrap();
                std::thread::sleep(Duration::from_millis(1500));
                self.sandbox.set_down(false).unwrap();
            }
            Step::EndTwice(machine) => {
                if let Some(session) = self.sessions[machine].take() {
                    session.signal("-TERM");
                    // Sooner, and it would be one wish.
                    std::thread::sleep(Duration::from_millis(350));
                    let _ = session.try_signal("-TERM");
                    session.end();
                }
            }
            Step::Unread(machine) if self.sessions[machine].is_none() => super::unread_session(
                on(self.sandbox, self.state(machine), [POD, "--for", "10m", "--raw", "--restore-timeout", "20s"]),
                || files(self.state(machine)).len() == 1,
            ),
            Step::Start(..) | Step::Unread(..) => {}
        }
    }

    fn end(&mut self, machine: usize, signal: &str) {
        if let Some(session) = self.sessions[machine].take() {
            session.signal(signal);
            self.rough |= signal == "-KILL";
            session.end();
        }
    }
}

#[test]
fn whatever_the_order_no_level_stays() {
    let sandbox = start(&["cart"]);
    let before = levels(&sandbox, POD);
    // The same every time, so that what fails can be looked at.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for run in 0..RUNS {
        let steps = proptest::collection::vec(step(), STEPS).new_tree(&mut runner).unwrap().current();
        let mut world = World {
            sandbox: &sandbox,
            machines: (0..MACHINES).map(|_| super::state()).collect(),
            sessions: (0..MACHINES).map(|_| None).collect(),
            rough: false,
        };
        for step in &steps {
            world.take(*step);
        }
        // Sessions that end in good order need nobody to clean up behind them.
        for machine in 0..MACHINES {
            world.end(machine, "-INT");
        }
        if !world.rough {
            assert_eq!(levels(&sandbox, POD), before, "run {run}: {steps:?}");
        }
        for machine in 0..MACHINES {
            let report: Value = on(&sandbox, world.state(machine), ["--off", "--all", "-o", "json"]).json();
            let left = report["proxies"].as_array().unwrap().iter().any(|item| item["state"] == "not-restored");
            assert!(!left, "run {run}: {steps:?}: {report}");
            assert_eq!(files(world.state(machine)).len(), 0, "run {run}: {steps:?}");
        }
        assert_eq!(levels(&sandbox, POD), before, "run {run}: {steps:?}");
    }
}
