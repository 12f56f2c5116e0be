//! The binaries, as an operator meets them.

use signaling::auth::token::Verifier;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_remove("LEAT_SECRET").output().expect("the program runs")
}

fn signaling(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(env!("CARGO_BIN_EXE_leat-signaling"), arguments);
    (output.status.code(), errors(&output))
}

/// What a program that failed says. Where it logs JSON, the texts of the errors.
fn errors(output: &Output) -> String {
    let plain = |line: &str| {
        let object: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let error = object.as_ref().and_then(|object| object["error"]["message"].as_str());
        error.unwrap_or(line).to_owned() + "\n"
    };
    String::from_utf8_lossy(&output.stderr).lines().map(plain).collect()
}

#[test]
fn a_wrong_option_costs_exit_code_2_and_is_named() {
    for (arguments, words) in [
        (&["--http", "somewhere"][..], &["--http <IP:PORT>", "somewhere"][..]),
        (&["--http", "0.0.0.0:7080"], &["--http 0.0.0.0:7080", "--secret-file"]),
        (&["--secret", "short"], &["--secret", "32"]),
        (&["--secret-file", "/nonexistent/secret"], &["--secret-file", "/nonexistent/secret"]),
        (&["--log", "xml"], &["--log", "xml", "text", "json"]),
        (&["--nice", "20"], &["--nice <NUMBER>", "20", "0..=19"]),
        (&["--nonsense"], &["--nonsense"]),
    ] {
        let (code, text) = signaling(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{arguments:?} should say {word:?}: {text}");
        }
    }
}

#[test]
fn it_steps_back_for_media_as_far_as_it_is_told() {
    let niceness = |pid: u32| -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        let stats = threads.flatten().filter_map(|it| std::fs::read_to_string(it.path().join("stat")).ok());
        // The 19th field; the second is in parentheses and may have blanks.
        let field = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(16).map(str::to_owned);
        stats.filter_map(field).collect()
    };
    for (arguments, wanted) in [(&[][..], "10"), (&["--nice", "3"], "3"), (&["--nice", "0"], "0")] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_leat-signaling"))
            .args(["--http", "127.0.0.1:0", "--control-socket", "/nonexistent/control.sock"])
            .args(arguments)
            .env_remove("LEAT_SECRET")
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program runs");
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let own = niceness(std::process::id())[0].parse::<i32>().expect("a number");
        let wanted = (own + wanted.parse::<i32>().expect("a number")).min(19).to_string();
        // It has more than one thread once it works.
        let mut found = Vec::new();
        while (found.len() < 3 || found.iter().any(|it| *it != wanted))
            && std::time::Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(10));
            found = niceness(process.id());
        }
        process.kill().expect("it runs");
        process.wait().expect("it ends");
        assert!(
            found.len() >= 3 && found.iter().all(|it| *it == wanted),
            "{arguments:?}: {found:?}, not {wanted}"
        );
    }
}

#[test]
fn a_mistake_in_media_yml_is_told_with_its_line_and_costs_exit_code_2() {
    let path = std::env::temp_dir().join(format!("leat-cli-media-{}.yml", std::process::id()));
    std::fs::write(&path, "video:\n  codecs:\n    - name: VP8\n      priority: first\n")
        .expect("our own file");
    let file = path.display().to_string();
    let signaling = signaling(&["--http", "127.0.0.1:0", "--media", &file]);
    let up = run(env!("CARGO_BIN_EXE_leat"), &["up", "--http", "127.0.0.1:7079", "--media", &file]);
    let up = (up.status.code(), errors(&up));
    std::fs::remove_file(&path).expect("our own file");
    let missing = self::signaling(&["--media", &file]);
    for (code, text) in [signaling, up] {
        assert_eq!(code, Some(2), "{text}");
        let wanted = format!(
            "--media {file}: line 4: video.codecs[0].priority is \"first\": expected a whole number from 1 to"
        );
        assert!(text.contains(&wanted), "{text}");
    }
    assert_eq!(missing.0, Some(2), "{}", missing.1);
    assert!(missing.1.contains(&format!("--media {file}: cannot read it: No such file")), "{}", missing.1);
}

#[test]
fn a_media_yml_whose_priorities_are_all_low_is_warned_of_once_and_no_other_is() {
    let warnings = |priorities: [u32; 2]| {
        let path = std::env::temp_dir().join(format!(
            "leat-cli-priorities-{}-{}.yml",
            std::process::id(),
            priorities[0]
        ));
        let [vp8, vp9] = priorities;
        let text =
            format!("video: {{codecs: [{{name: VP8, priority: {vp8}}}, {{name: VP9, priority: {vp9}}}]}}\n");
        std::fs::write(&path, text).expect("our own file");
        let lines = log_of_start(&["--media", &path.display().to_string()]);
        std::fs::remove_file(&path).expect("our own file");
        lines.iter().filter(|line| line.contains("the highest number is now preferred")).count()
    };
    assert_eq!([[1, 2], [100, 50]].map(warnings), [1, 0]);
}

#[test]
fn a_port_in_use_costs_exit_code_1_and_says_what_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, text) = signaling(&["--http", &address]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("port {}", taken.local_addr().expect("bound").port()))
            && text.contains("--http"),
        "{text}"
    );
}

#[test]
fn a_turn_port_in_use_costs_up_exit_code_1_and_is_told_by_ups_own_option() {
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").expect("a port"), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [udp, tcp] =
        [udp.local_addr(), tcp.local_addr()].map(|address| address.expect("bound").port().to_string());
    // Where nobody listens, or the run would end for that.
    let free = || {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("bound").port().to_string()
    };
    let (http, other) = (format!("127.0.0.1:{}", free()), free());
    let certificate = ["--turn-certificate", "cert.pem", "--turn-private-key", "key.pem"];
    let cases: [(&[&str], &str); 3] = [
        (&["--turn-port", &udp], &format!("--turn-port {udp}: UDP port {udp} on 127.0.0.1 is in use")),
        (&["--turn-port", &tcp], &format!("--turn-port {tcp}: TCP port {tcp} on 127.0.0.1 is in use")),
        (
            &["--turn-port", &other, "--turn-tls-port", &tcp],
            &format!("--turn-tls-port {tcp}: TCP port {tcp} on 127.0.0.1 is in use"),
        ),
    ];
    for (ports, wanted) in cases {
        let arguments =
            [&["up", "--http", &http, "--listen-ip", "127.0.0.1"][..], ports, &certificate].concat();
        let output = run(env!("CARGO_BIN_EXE_leat"), &arguments);
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn whose_parent_died_before_it_could_ask_for_the_signal_ends_by_itself() {
    let output = Command::new(env!("CARGO_BIN_EXE_leat-signaling"))
        .args(["--http", "127.0.0.1:0", "--die-with-parent"])
        .env_remove("LEAT_SECRET")
        // No process has that number.
        .env("LEAT_PARENT", "0")
        .output()
        .expect("the program runs");
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--die-with-parent") && text.contains("LEAT_PARENT=0"), "{text}");
}

#[test]
fn leat_up_is_not_fooled_by_another_leat_on_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in taken.incoming() {
            let mut stream = stream.expect("a connection");
            let body = "{\"status\":\"ok\",\"engine\":\"ready\"}\n";
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // Whoever asks may not wait for the answer.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let output = run(env!("CARGO_BIN_EXE_leat"), &["up", "--http", &address]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--http") && text.contains("in use"), "{text}");
    assert!(output.stdout.is_empty(), "it must not say that it is up");
}

#[test]
fn leat_token_mints_what_the_server_takes() {
    let secret = "an operator's secret of 32 bytes";
    let leat = env!("CARGO_BIN_EXE_leat");
    let mint = |option: &str| {
        let output = run(
            leat,
            &["token", "--room", "stage", "--user", "ada", "--ttl", "5m", option, "--secret", secret],
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let verifier = Verifier::with_secret(secret.as_bytes(), Duration::ZERO).expect("a good secret");
    for (option, can) in [
        ("--no-publish", (false, true, false)),
        ("--no-subscribe", (true, false, false)),
        ("--plain", (true, true, true)),
    ] {
        let grant = verifier.verify(&mint(option), "stage", now).expect("admitted");
        let it = grant.permissions;
        assert_eq!((it.can_publish, it.can_subscribe, it.can_use_plain_transports), can, "{option}");
        assert_eq!(grant.user, "ada");
    }
    let later = now + Duration::from_secs(302);
    verifier.verify(&mint("--no-publish"), "stage", later).expect_err("expired");

    for (room, user, ttl, words) in [
        ("stage", "ada", "soon", "--ttl <TTL>"),
        ("the stage", "ada", "5m", "--room <ROOM>': expected 1 to 64 of A-Z"),
        ("stage", "", "5m", "--user <USER>"),
        ("stage", &"a".repeat(129), "5m", "--user <USER>': expected 1 to 128 characters"),
    ] {
        let output = run(leat, &["token", "--room", room, "--user", user, "--ttl", ttl, "--secret", secret]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn without_a_secret_a_token_is_signed_with_this_users_development_key() {
    let dir = std::env::temp_dir().join(format!("leat-cli-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a directory of our own");
    let mint = |runtime_dir: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_leat"))
            .args(["token", "--room", "stage", "--user", "ada"])
            .env_remove("LEAT_SECRET")
            .env("XDG_RUNTIME_DIR", runtime_dir)
            .output()
            .expect("the program runs")
    };
    let output = mint(&dir);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).expect("text");
    let key = std::fs::read(dir.join("leat/development-secret")).expect("kept");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let verifier = Verifier::with_secret(&key, Duration::ZERO).expect("a good secret");
    assert_eq!(verifier.verify(token.trim_end(), "stage", now).expect("admitted").user, "ada");
    std::fs::remove_dir_all(dir.join("leat")).expect("our own");

    std::fs::write(dir.join("leat"), "in the way of the directory").expect("our own");
    let output = mint(&dir);
    std::fs::remove_dir_all(&dir).expect("our own");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--secret-file"));
}

#[test]
fn leat_token_signs_nothing_with_a_public_key() {
    let file = std::env::temp_dir().join(format!("leat-cli-public-{}.pem", std::process::id()));
    std::fs::write(&file, "-----BEGIN PUBLIC KEY-----\n").expect("our own file");
    let arguments = ["token", "--room", "stage", "--user", "ada", "--public-key-file"];
    let path = file.display().to_string();
    let output = run(env!("CARGO_BIN_EXE_leat"), &[&arguments[..], &[&path]].concat());
    std::fs::remove_file(&file).expect("our own file");
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty(), "it must not print a token");
    assert!(text.contains("a public key cannot sign a token") && text.contains(&path), "{text}");
}

#[test]
fn a_key_by_option_and_another_by_the_environment_are_named_as_such() {
    let (room, user) = (["--room", "stage"], ["--user", "ada"]);
    let token = [&["token"][..], &room, &user].concat();
    for (program, first) in [
        (env!("CARGO_BIN_EXE_leat-signaling"), &["--http", "127.0.0.1:0"][..]),
        (env!("CARGO_BIN_EXE_leat"), &["up", "--http", "127.0.0.1:7079"]),
        (env!("CARGO_BIN_EXE_leat"), &token),
    ] {
        for option in ["--secret-file", "--secret"] {
            let arguments = [first, &[option, "an operator's secret of 32 bytes"]].concat();
            let output = Command::new(program)
                .args(&arguments)
                .env("LEAT_SECRET", "another secret with 32 bytes, too")
                .output()
                .expect("the program runs");
            let text = errors(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
            assert!(
                text.contains("LEAT_SECRET is set, and") && text.contains(option),
                "{arguments:?}: {text}"
            );
        }
    }
    let (code, text) = signaling(&["--secret", "a", "--secret-file", "b"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--secret-file") && !text.contains("LEAT_SECRET"), "{text}");
}

#[test]
fn a_key_file_that_others_can_read_is_warned_of_and_one_for_its_owner_alone_is_not() {
    let warnings = |mode: u32| {
        let file = std::env::temp_dir().join(format!("leat-cli-key-{mode:o}-{}", std::process::id()));
        std::fs::write(&file, "an operator's secret of 32 bytes").expect("our own file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("our own file");
        let path = file.display().to_string();
        let log = log_of_start(&[
            "--secret-file",
            &path,
            "--turn-url",
            "turn:127.0.0.1:1",
            "--turn-secret-file",
            &path,
        ]);
        std::fs::remove_file(&file).expect("our own file");
        let about = |option: &str| {
            log.iter().filter(|line| line.contains(option) && line.contains("chmod 600")).count()
        };
        [about("\"--secret-file:"), about("\"--turn-secret-file:")]
    };
    assert_eq!([0o644, 0o640, 0o604, 0o600, 0o400].map(warnings), [[1, 1], [1, 1], [1, 1], [0, 0], [0, 0]]);
}

/// What signaling logs from its start on until it listens.
fn log_of_start(arguments: &[&str]) -> Vec<String> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_leat-signaling"))
        .args(["--http", "127.0.0.1:0", "--control-socket", "/nonexistent/control.sock", "--log", "json"])
        .args(arguments)
        .env_remove("LEAT_SECRET")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    let lines = lines.map_while(Result::ok).take_while(|line| !line.contains("\"listening\"")).collect();
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    lines
}
