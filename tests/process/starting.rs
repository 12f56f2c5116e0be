//! Start, failed start, and end of the engine.

use crate::PATIENCE;
use crate::call::Call;
use crate::engine::{Engine, command, free_ports, has_ipv6, run_to_end, socket_path};
use rustix::process::Signal;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_port_in_use_is_reported_with_its_option() {
    for (ip, worker) in [("127.0.0.1", 0), ("::1", 1)].into_iter().take(1 + usize::from(has_ipv6())) {
        let port = free_ports();
        let _taken = UdpSocket::bind((ip, port + worker)).unwrap();
        let socket = socket_path();
        let (code, said) = run_to_end(command(port, &socket).args(["--workers", "2"]));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&(port + worker).to_string()), "{said} does not name the port");
        assert!(said.contains("--rtc-port"), "{said} does not name the option");
        assert!(!socket.exists(), "an engine is up whole or not at all");
        let _ = std::fs::remove_file(socket.with_extension("sock.lock"));
    }
}

#[test]
fn a_tcp_port_in_use_is_reported_with_its_option() {
    let port = free_ports();
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let socket = socket_path();
    let (code, said) = run_to_end(command(port, &socket).args(["--workers", "1"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("TCP port {port} on 127.0.0.1 is in use")), "{said}");
    assert!(said.contains("--rtc-tcp-port"), "{said} does not name the option");
    let _ = std::fs::remove_file(socket.with_extension("sock.lock"));
}

#[test]
fn a_control_socket_in_use_is_reported_with_its_option() {
    let engine = Engine::start();
    let (code, said) = run_to_end(&mut command(free_ports(), &engine.socket));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--control-socket") && said.contains(&*engine.socket.to_string_lossy()), "{said}");
    engine.attach();
}

#[test]
fn a_bad_flag_is_reported_with_its_value_and_the_expected_one() {
    for (flag, value, expected) in [
        ("--workers", "0", "1..=126"),
        ("--workers", "many", "invalid digit"),
        ("--rtc-port", "70000", "1..=65535"),
        ("--rtc-port", "65535", "at most 65535"),
        ("--rtc-tcp-port", "70000", "0..=65535"),
        ("--rtc-tcp-port", "65535", "at most 65535"),
        ("--listen-ip", "localhost", "IP address"),
        ("--listen-ip", "0.0.0.0", "--announced-ip"),
        ("--announced-ip", "169.254.0.1", "unicast"),
        ("--announced-ip", "203.0.113", "neither an IP address nor a host name"),
        ("--announced-ip", "leat.invalid", "cannot be resolved"),
        ("--grace-period", "soon", "invalid digit"),
        ("--grace-period", "100000", "0..=86400"),
        ("--log", "xml", "text, json"),
        ("--dtls", "1.1", "1.2, auto"),
    ] {
        // The tested flags come last; a flag given twice would be another error.
        let mut command = Command::new(command(1, "/".as_ref()).get_program());
        command.args(["--control-socket", "/nonexistent/leat.sock", flag, value]);
        if flag != "--workers" {
            command.args(["--workers", "2"]);
        }
        let (code, said) = run_to_end(&mut command);
        assert_eq!(code, Some(2), "{flag} {value}: {said}");
        for part in [flag, value, expected] {
            assert!(said.contains(part), "{flag} {value}: {said:?} does not say {part:?}");
        }
    }
    let (code, said) =
        run_to_end(Command::new(command(1, "/".as_ref()).get_program()).arg("--workers").arg("1"));
    assert_eq!(code, Some(2));
    assert!(said.contains("--control-socket <PATH>"), "{said}");
}

#[test]
fn a_signal_ends_it_cleanly_in_the_middle_of_a_call() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut engine = Engine::start();
        let mut controller = engine.attach();
        let mut call = Call::connect(&engine, &mut controller);
        call.publish(5);
        engine.signal(signal);
        assert_eq!(engine.wait().code(), Some(0), "{signal:?}");
        assert!(!engine.socket.exists(), "{signal:?} leaves the socket behind");
        assert!(controller.is_detached(), "the controller sees it at once");
    }
}

#[test]
fn ends_with_its_parent_if_the_flag_is_set() {
    let (port, socket) = (free_ports(), socket_path());
    let engine = command(port, &socket);
    let mut parent = Command::new("sh")
        // The shell stays, because the engine is not its last command.
        .args(["-c", "\"$@\" & wait", "sh"])
        .arg(engine.get_program())
        .args(engine.get_args())
        .args(["--workers", "1", "--die-with-parent"])
        .env("LEAT_LOG", "warn")
        .spawn()
        .unwrap();
    let become_so = |what: &str, is_so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            sleep(Duration::from_millis(5));
        }
    };
    become_so("it starts", &|| socket.exists());
    parent.kill().unwrap();
    parent.wait().unwrap();
    become_so("it ends", &|| !socket.exists());
    become_so("its ports are free", &|| UdpSocket::bind(("127.0.0.1", port)).is_ok());
    let _ = std::fs::remove_file(socket.with_extension("sock.lock"));
}
