//! A controller in a separate process, so that it can be killed like signaling, without notice.
//!
//! The process is this test binary again, with the one test below, which does nothing unless the environment
//! names the engine.

use crate::call::{
    CONSUMER, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, consume, create_router, create_transport, produce,
};
use crate::controller::Controller;
use control::{Command, Counter, Event, RouterId, SnapshotItem};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

const SOCKET: &str = "LEAT_TEST_CONTROLLER_SOCKET";
const FINGERPRINT: &str = "LEAT_TEST_CONTROLLER_FINGERPRINT";

/// The prefix of lines for the parent, among those of the test harness.
const MARK: &str = "event:";

/// A room that is not claimed again.
pub const FORGOTTEN: RouterId = RouterId(7);

/// The protocol version of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Current,
    Next,
}

impl Version {
    /// Makes a process one of this version.
    pub fn of(self, process: &mut Process) -> &mut Process {
        match self {
            Self::Current => process.env_remove(control::next::VARIABLE),
            Self::Next => process.env(control::next::VARIABLE, "1"),
        }
    }

    /// The version as a number.
    pub fn number(self) -> u32 {
        control::PROTOCOL_VERSION + u32::from(self == Self::Next)
    }
}

/// A controller's process that has created a call of two and then waits to be killed.
#[derive(Debug)]
pub struct ControllerProcess {
    process: Child,
    /// The engine's answers for the publisher's transport, and the subscriber's.
    pub created: Vec<Event>,
}

impl ControllerProcess {
    /// Starts it, and waits until the call is created. All peers have the certificate with this fingerprint.
    pub fn start(socket: &Path, fingerprint: &dtls::Fingerprint) -> Self {
        Self::start_as(Version::Current, socket, fingerprint)
    }

    /// The same as a controller of a protocol version.
    pub fn start_as(version: Version, socket: &Path, fingerprint: &dtls::Fingerprint) -> Self {
        Self::spawn(version, socket, &[(FINGERPRINT, fingerprint.to_string())], 2)
    }

    /// A controller that takes over the call of an earlier one: it reads the snapshot and claims the router.
    pub fn take_over_as(version: Version, socket: &Path) -> Self {
        Self::spawn(version, socket, &[], 1)
    }

    /// Starts the process, and waits for as many events on its standard output.
    fn spawn(version: Version, socket: &Path, environment: &[(&str, String)], events: usize) -> Self {
        let mut command = Process::new(std::env::current_exe().unwrap());
        command
            .args(["child::controls_if_the_environment_says_so", "--exact", "--nocapture"])
            .env(SOCKET, socket)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = version.of(&mut command).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let reported = lines.map_while(Result::ok).filter_map(|line| Some(event(line.split_once(MARK)?.1)));
        let created: Vec<Event> = reported.take(events).collect();
        assert_eq!(created.len(), events, "the controller's process ended early");
        Self { process, created }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for ControllerProcess {
    fn drop(&mut self) {
        // Fails if it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn event(hex: &str) -> Event {
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    // The process may be one of the next version.
    Event::decode_from(&bytes, Version::Next.number()).unwrap().unwrap()
}

#[test]
fn controls_if_the_environment_says_so() {
    let Ok(socket) = std::env::var(SOCKET) else { return };
    let mut controller = Controller::attach(Path::new(&socket));
    let Ok(fingerprint) = std::env::var(FINGERPRINT) else { return take_over(controller) };
    let fingerprint: dtls::Fingerprint = fingerprint.parse().unwrap();
    controller.demand(create_router(ROUTER));
    controller.demand(create_router(FORGOTTEN));
    for transport in [PUBLISHING, SUBSCRIBING] {
        let created = controller.request(create_transport(ROUTER, transport));
        controller.demand(Command::ConnectTransport { transport, fingerprint: fingerprint.0 });
        let hex = hex(&created);
        // The parent reads these only after everything is created.
        if transport == PUBLISHING {
            println!("\n{MARK}{hex}");
            continue;
        }
        controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
        controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
        println!("\n{MARK}{hex}");
    }
    // Until killed; not forever, in case the parent dies first.
    std::thread::sleep(Duration::from_secs(120));
}

fn take_over(mut controller: Controller) {
    let consumers = controller.snapshot();
    let is_ours = |item: &SnapshotItem| matches!(item, SnapshotItem::Consumer { consumer: CONSUMER, .. });
    assert!(consumers.iter().any(is_ours), "{consumers:?}");
    let claimed = controller.request(Command::ClaimRouter { router: ROUTER });
    assert!(matches!(claimed, Event::Done { .. }), "{claimed:?}");
    controller.await_counters(|counters| counters.value(Counter::RtpOut) > 0);
    println!("\n{MARK}{}", hex(&claimed));
    std::thread::sleep(Duration::from_secs(120));
}

fn hex(event: &Event) -> String {
    let mut record = Vec::new();
    event.encode(&mut record);
    record.iter().map(|byte| format!("{byte:02x}")).collect()
}
