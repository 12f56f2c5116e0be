//! A controller in a separate process, so that it can be killed like signaling, without notice.
//!
//! The process is this test binary again, with the one test below, which does nothing unless the environment
//! names the engine.

use crate::call::{
    CONSUMER, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, consume, create_router, create_transport, produce,
};
use crate::controller::Controller;
use control::{Command, Event, RouterId};
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
        let mut process = Process::new(std::env::current_exe().unwrap())
            .args(["child::controls_if_the_environment_says_so", "--exact", "--nocapture"])
            .env(SOCKET, socket)
            .env(FINGERPRINT, fingerprint.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told = lines.map_while(Result::ok).filter_map(|line| Some(event(line.split_once(MARK)?.1)));
        let created: Vec<Event> = told.take(2).collect();
        assert_eq!(created.len(), 2, "the controller's process ended early");
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
    Event::decode(&bytes).unwrap()
}

#[test]
fn controls_if_the_environment_says_so() {
    let (Ok(socket), Ok(fingerprint)) = (std::env::var(SOCKET), std::env::var(FINGERPRINT)) else { return };
    let fingerprint: dtls::Fingerprint = fingerprint.parse().unwrap();
    let mut controller = Controller::attach(Path::new(&socket));
    controller.demand(create_router(ROUTER));
    controller.demand(create_router(FORGOTTEN));
    for transport in [PUBLISHING, SUBSCRIBING] {
        let created = controller.request(create_transport(ROUTER, transport));
        controller.demand(Command::ConnectTransport { transport, fingerprint: fingerprint.0 });
        let mut record = Vec::new();
        created.encode(&mut record);
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
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
