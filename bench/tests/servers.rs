//! The load generator on real servers: everything that was sent arrives, authentic and complete.

#![allow(clippy::unwrap_used, reason = "a test that meets an impossible value should stop there")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BENCH: &str = env!("CARGO_BIN_EXE_leat-bench");

/// A directory that is gone when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leat-bench-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `leat up`, which ends with the test.
struct Leat {
    process: Child,
    http: u16,
    _directory: Directory,
}

impl Leat {
    fn start(name: &str) -> Self {
        Self::start_with(name, "1", &[])
    }

    fn start_with(name: &str, workers: &str, options: &[&str]) -> Self {
        let directory = Directory::new(name);
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let media = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = Path::new(BENCH).with_file_name("leat");
        assert!(program.exists(), "{} is not there: `cargo build --bins` makes it", program.display());
        let process = Command::new(program)
            .args([
                "up",
                "--workers",
                workers,
                "--listen-ip",
                "127.0.0.1",
                "--rtc-tcp-port",
                "0",
                "--turn-port",
                "0",
            ])
            .args(options)
            .args(["--http", &format!("127.0.0.1:{http}"), "--rtc-port", &media.to_string()])
            .arg("--control-socket")
            .arg(directory.0.join("control/socket"))
            .arg("--data-dir")
            .arg(directory.0.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.0.join("log")).unwrap())
            .spawn()
            .unwrap();
        let leat = Self { process, http, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(120);
        while !leat.is_ready() {
            assert!(Instant::now() < deadline, "leat does not serve in time");
            std::thread::sleep(Duration::from_millis(50));
        }
        leat
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.http)) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("\"engine\":\"ready\"")
    }

    /// Runs `leat-bench load` on it; the report.
    fn load(&self, options: &str) -> Value {
        let file =
            std::env::temp_dir().join(format!("leat-bench-report-{}-{}", std::process::id(), self.http));
        let output = Command::new(BENCH)
            .args(["load", "--url", &format!("ws://127.0.0.1:{}", self.http)])
            .args(["--pid", &self.process.id().to_string(), "--json", file.to_str().unwrap()])
            .args(options.split_whitespace())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let report = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        serde_json::from_str(&report).unwrap()
    }
}

impl Drop for Leat {
    fn drop(&mut self) {
        // On SIGTERM, it ends its children.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report}"))
}

#[track_caller]
fn assert_sound(report: &Value) {
    assert!(number(report, "delivered") > 0, "{report}");
    assert_eq!(number(report, "checked"), number(report, "delivered"), "every packet was opened: {report}");
    assert_eq!((number(report, "unauthentic"), number(report, "payload_errors")), (0, 0), "{report}");
}

#[test]
fn a_load_on_leat_arrives_completely() {
    let leat = Leat::start("whole");
    let report = leat.load("--subscribers 4 --audio --bitrate 600 --warm-up 8 --duration 3");
    assert_sound(&report);
    assert_eq!(number(&report, "complete"), 4, "all subscribers get audio and video: {report}");
    assert!(report["server_cost"]["cpu_ns_per_packet"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn messages_of_data_channels_arrive_completely_beside_audio() {
    let leat = Leat::start("messages");
    let load = "--shape audio --publishers 2 --subscribers 4 --rooms 2 --data 40000 --data-rate 1";
    let report = leat.load(&format!("{load} --warm-up 3 --duration 3"));
    assert_sound(&report);
    let data = &report["data"];
    assert_eq!((number(data, "lost"), number(data, "wrong")), (0, 0), "{report}");
    assert!(number(data, "delivered") > number(data, "sent"), "each goes to two subscribers: {report}");
    assert!(data["user_us_per_mbyte"].as_f64().unwrap() > 0.0, "{report}");
}

/// Every peer is on another worker than the previous one: the publisher on the first, half of the subscribers
/// on the second.
#[test]
fn media_of_a_room_over_two_workers_arrives_completely() {
    let leat = Leat::start_with("spread", "2", &["--spread-above", "0"]);
    let report = leat.load("--subscribers 5 --audio --bitrate 600 --loss 2 --warm-up 8 --duration 3");
    assert_sound(&report);
    assert_eq!(number(&report, "complete"), 5, "all subscribers get audio and video: {report}");
    // Audio is not requested again.
    assert!(number(&report, "repaired") > 0, "{report}");
}

#[test]
fn lost_packets_are_requested_and_repaired() {
    let leat = Leat::start("loss");
    let report = leat.load("--subscribers 3 --codec h264 --bitrate 600 --loss 3 --warm-up 8 --duration 4");
    assert_sound(&report);
    let (thrown, repaired) = (number(&report, "thrown"), number(&report, "repaired"));
    assert!(thrown > 0 && repaired > 0, "{thrown} thrown away, {repaired} repaired: {report}");
}

/// The file matches `bench/results.schema.json`.
fn assert_schema(results: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../results.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(results).map(|fault| format!("{}: {fault}", fault.instance_path)).collect();
    assert!(faults.is_empty(), "{faults:#?} in {results:#}");
    let names: Vec<String> = results["figures"].as_array().unwrap().iter().map(name_of).collect();
    let unique: std::collections::HashSet<&String> = names.iter().collect();
    assert!(unique.len() == names.len() && !names.is_empty(), "{names:?}");
}

fn name_of(figure: &Value) -> String {
    format!("{} {}", figure["server"], figure["name"])
}

/// Runs `leat-bench diff`; the exit code and the output.
fn diff(before: &Path, after: &Path) -> (Option<i32>, String) {
    let output = Command::new(BENCH).arg("diff").args([before, after]).output().unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn two_files_of_results_are_compared_and_a_regression_is_exit_code_1() {
    let leat = Leat::start("diff");
    let report = leat.load("--subscribers 3 --bitrate 300 --warm-up 1 --duration 3");
    assert_schema(&report);
    assert_eq!(report["series"].as_array().unwrap().len(), 3, "a row a second: {report}");
    let directory = Directory::new("diff-files");
    let file = |name: &str, results: &Value| {
        let path = directory.0.join(name);
        std::fs::write(&path, results.to_string()).unwrap();
        path
    };
    let before = file("before.json", &report);
    let (code, text) = diff(&before, &before);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("within the noise") && !text.contains("WORSE"), "{text}");

    let mut slower = report.clone();
    let figures = slower["figures"].as_array_mut().unwrap();
    let cpu = figures.iter_mut().find(|figure| figure["name"] == "cpu_per_packet").unwrap();
    cpu["rounds"][0] = (cpu["rounds"][0].as_f64().unwrap() * 1.5).into();
    let (code, text) = diff(&before, &file("after.json", &slower));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("+50.0 %") && text.contains("WORSE"), "{text}");

    slower["kind"] = "turn".into();
    let (code, text) = diff(&before, &file("other.json", &slower));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("load and turn are not comparable"), "{text}");
    let (code, text) = diff(&before, &file("no.json", &serde_json::json!({"form": 1})));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("no.json is no file of results"), "{text}");
}

#[test]
fn relays_are_measured_with_a_table_a_page_and_a_file_of_results() {
    let directory = Directory::new("turn");
    let (json, html) = (directory.0.join("turn.json"), directory.0.join("turn.html"));
    let output = Command::new(BENCH)
        .args(["turn", "--rivals", "leat", "--rounds", "2", "--allocations", "4", "--rate", "500"])
        .args(["--seconds", "1", "--server-cpu", "0", "--cpu", "0"])
        .args(["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let results: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_schema(&results);
    assert!(
        results["figures"].as_array().unwrap().iter().all(|figure| figure["rounds"]
            .as_array()
            .unwrap()
            .len()
            == 2)
    );
    let page = std::fs::read_to_string(html).unwrap();
    assert_eq!(page.matches("<svg").count(), 2, "{page}");
}

/// Runs `leat-bench compare`; the results.
fn compare(name: &str, options: &str) -> Vec<Value> {
    let directory = Directory::new(name);
    let (json, html) = (directory.0.join("report.json"), directory.0.join("report.html"));
    let output = Command::new(BENCH)
        .args(["compare", "--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()])
        .args(options.split_whitespace())
        .env_remove("MEDIASOUP_WORKER_BIN")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_schema(&report);
    assert!(page.contains("cpu per packet<small>ns; less is better</small>"), "{page}");
    assert_eq!((&report["shape"], &report["rounds"]), (&"livestream".into(), &1.into()), "{report}");
    report["results"].as_array().unwrap().clone()
}

#[test]
fn leat_and_janus_are_compared_and_a_missing_server_is_skipped() {
    let load = "--rounds 1 --subscribers 3 --bitrate 600 --warm-up 8 --duration 2";
    let results = compare("compare", &format!("--rivals leat,mediasoup,janus {load}"));
    for (result, server) in results.iter().zip(["leat", "mediasoup", "janus"]) {
        assert_eq!(result["server"], server);
        if server == "mediasoup" {
            assert!(result["skipped"].as_str().unwrap().contains("MEDIASOUP_WORKER_BIN"), "{result}");
            continue;
        }
        assert_eq!(result["skipped"], Value::Null, "{result}");
        for figure in ["cpu_ns_per_packet", "delivered_pps", "rss_bytes_per_peer", "joins_per_s"] {
            assert!(result[figure].as_f64().unwrap() > 0.0, "{figure} in {result}");
        }
        assert_eq!(result["payload_errors"], 0, "{result}");
        assert_eq!(result["void_rounds"], Value::Array(Vec::new()), "{result}");
        assert_eq!(result["saturated"], result["loss_ratio"].as_f64().unwrap() > 0.01, "{result}");
        assert!(result["latency_us"]["p999"].as_u64() >= result["latency_us"]["p50"].as_u64(), "{result}");
    }
    assert_eq!(results.len(), 3);
}

/// Only if a worker is installed.
#[test]
fn mediasoup_is_measured_if_its_worker_is_installed() {
    let Some(worker) = std::env::var_os("MEDIASOUP_WORKER_BIN") else { return };
    let directory = Directory::new("mediasoup");
    let json = directory.0.join("report.json");
    let output = Command::new(BENCH)
        .args("compare --rivals mediasoup --rounds 1 --subscribers 3 --data 16384".split(' '))
        .args("--data-rate 1 --warm-up 2 --duration 2".split(' '))
        .args(["--json", json.to_str().unwrap()])
        .env("MEDIASOUP_WORKER_BIN", worker)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let result = &report["results"][0];
    assert!(number(&result["data"], "delivered") > 0, "{result}");
    assert_eq!(number(&result["data"], "wrong"), 0, "{result}");
    assert!(result["delivered_pps"].as_f64().is_some_and(|pps| pps > 0.0), "{result}");
    assert_eq!(result["payload_errors"], 0, "{result}");
}

#[test]
fn an_interruption_ends_with_a_report() {
    let leat = Leat::start("interrupted");
    let mut bench = Command::new(BENCH)
        .args(["load", "--url", &format!("ws://127.0.0.1:{}", leat.http)])
        .args("--subscribers 1 --bitrate 300 --warm-up 5 --duration 600".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut steps = BufReader::new(bench.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(steps.any(|step| step == "measuring"), "it ended before it measured");
    std::thread::sleep(Duration::from_secs(2));
    assert!(Command::new("kill").args(["-INT", &bench.id().to_string()]).status().unwrap().success());
    let mut report = String::new();
    bench.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    assert!(bench.wait().unwrap().success(), "{report}");
    assert!(report.contains("interrupted") && report.contains("delivered"), "{report}");
}

/// The process of this name below another one.
fn below(root: u32, name: &str) -> Option<u32> {
    let children = |pid: u32| -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
            .collect()
    };
    let is_it = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    children(root).into_iter().find_map(|child| Some(child).filter(is_it).or_else(|| below(child, name)))
}

#[test]
fn a_round_with_a_server_restart_is_void_and_in_no_median() {
    let directory = Directory::new("void");
    let json = directory.0.join("report.json");
    let mut bench = Command::new(BENCH)
        .args(
            "compare --rivals leat --rounds 1 --subscribers 2 --bitrate 300 --warm-up 1 --duration 4"
                .split(' '),
        )
        .args(["--json", json.to_str().unwrap()])
        .current_dir(&directory.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut steps = BufReader::new(bench.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(steps.any(|step| step == "measuring"), "it ended before it measured");
    let [leat, engine] =
        ["leat", "leat-engine"].map(|name| below(bench.id(), name).unwrap_or_else(|| panic!("no {name}")));
    // A core would be written into its working directory.
    let cwd = std::fs::read_link(format!("/proc/{engine}/cwd")).unwrap();
    assert_ne!(cwd, directory.0.canonicalize().unwrap());
    let limits = std::fs::read_to_string(format!("/proc/{engine}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");

    // `leat up` restarts it at once, and the started process continues.
    assert!(Command::new("kill").args(["-ABRT", &engine.to_string()]).status().unwrap().success());
    let mut report = String::new();
    bench.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(1), "{report}");
    assert!(!Path::new(&format!("/proc/{leat}")).exists(), "it is ended with the round");
    let wanted = format!("A round of leat is void and in no figure: leat-engine ({engine}) ended in it");
    assert!(report.contains(&wanted) && report.contains("No round of leat counts"), "{report}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let result = &report["results"][0];
    assert_eq!(result["void_rounds"].as_array().map(Vec::len), Some(1), "{result}");
    assert_eq!(result["cpu_ns_per_packet"], Value::Null, "{result}");
    let left: Vec<_> =
        std::fs::read_dir(&directory.0).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["report.json"], "something landed in the working directory");
}

#[test]
fn every_client_is_told_of_every_other_and_of_every_change_of_presence() {
    let report = std::env::temp_dir().join(format!("leat-bench-test-signaling-{}.json", std::process::id()));
    let output = Command::new(BENCH)
        .args("signaling --rivals leat --rounds 1 --clients 60 --rooms 7 --joins 60 --changes 20".split(' '))
        .args(["--seconds", "2", "--server-cpu", "0", "--cpu", "0", "--json"])
        .arg(&report)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    let _ = std::fs::remove_file(&report);
    assert!(output.status.success(), "{}", said(&output));
    let rounds: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(number(&rounds[0], "wrong"), 0);
    assert!(number(&rounds[0], "notifications") > 100, "{text}");
}
