//! The binaries from the command line.

use signaling::auth::keyring::Keyring;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.env("XDG_STATE_HOME", state_home()).env_remove("LEAT_SECRET");
    command.args(arguments).output().expect("the program runs")
}

fn signaling(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(env!("CARGO_BIN_EXE_leat-signaling"), arguments);
    (output.status.code(), errors(&output))
}

/// The error output of a program that failed. If the log is JSON, the texts of its errors.
fn errors(output: &Output) -> String {
    let plain = |line: &str| {
        let object: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let error = object.as_ref().and_then(|object| object["error"]["message"].as_str());
        error.unwrap_or(line).to_owned() + "\n"
    };
    String::from_utf8_lossy(&output.stderr).lines().map(plain).collect()
}

#[test]
fn wrong_option_is_named_with_exit_code_2() {
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
            assert!(text.contains(word), "{arguments:?} should contain {word:?}: {text}");
        }
    }
}

#[test]
fn niceness_is_the_one_of_the_option() {
    let niceness = |pid: u32| -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        let stats = threads.flatten().filter_map(|it| std::fs::read_to_string(it.path().join("stat")).ok());
        // Those that hash passwords have the lowest priority in any case.
        let stats = stats.filter(|stat| !stat.contains("(leat-password-"));
        // Field 19; field 2 is in parentheses and may contain blanks.
        let field = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(16).map(str::to_owned);
        stats.filter_map(field).collect()
    };
    for (arguments, wanted) in [(&[][..], "10"), (&["--nice", "3"], "3"), (&["--nice", "0"], "0")] {
        let mut process = signaling_command()
            .args(["--http", "127.0.0.1:0", "--control-socket", "/nonexistent/control.sock"])
            .args(arguments)
            .env_remove("LEAT_SECRET")
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program runs");
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let own = niceness(std::process::id())[0].parse::<i32>().expect("a number");
        let wanted = (own + wanted.parse::<i32>().expect("a number")).min(19).to_string();
        // Once it runs, it has more than one thread.
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
fn error_in_media_yml_is_reported_with_its_line_and_exit_code_2() {
    let path = std::env::temp_dir().join(format!("leat-cli-media-{}.yml", std::process::id()));
    std::fs::write(&path, "video:\n  codecs:\n    - name: VP8\n      priority: first\n")
        .expect("a temporary file");
    let file = path.display().to_string();
    let signaling = signaling(&["--http", "127.0.0.1:0", "--media", &file]);
    let up = run(env!("CARGO_BIN_EXE_leat"), &["up", "--http", "127.0.0.1:7079", "--media", &file]);
    let up = (up.status.code(), errors(&up));
    std::fs::remove_file(&path).expect("a temporary file");
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
fn media_yml_with_only_low_priorities_causes_one_warning() {
    let warnings = |priorities: [u32; 2]| {
        let path = std::env::temp_dir().join(format!(
            "leat-cli-priorities-{}-{}.yml",
            std::process::id(),
            priorities[0]
        ));
        let [vp8, vp9] = priorities;
        let text =
            format!("video: {{codecs: [{{name: VP8, priority: {vp8}}}, {{name: VP9, priority: {vp9}}}]}}\n");
        std::fs::write(&path, text).expect("a temporary file");
        let lines = log_of_start(&["--media", &path.display().to_string()]);
        std::fs::remove_file(&path).expect("a temporary file");
        lines.iter().filter(|line| line.contains("the highest number is preferred")).count()
    };
    assert_eq!([[1, 2], [100, 50]].map(warnings), [1, 0]);
}

#[test]
fn port_in_use_is_reported_with_its_option_and_exit_code_1() {
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
fn turn_port_in_use_is_reported_with_the_option_of_leat_up_and_exit_code_1() {
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").expect("a port"), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [udp, tcp] =
        [udp.local_addr(), tcp.local_addr()].map(|address| address.expect("bound").port().to_string());
    // A free port, so that the run does not end because of it.
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
fn process_ends_if_its_parent_exited_before_the_start() {
    let output = signaling_command()
        .args(["--http", "127.0.0.1:0", "--die-with-parent"])
        .env_remove("LEAT_SECRET")
        // No process has this id.
        .env("LEAT_PARENT", "0")
        .output()
        .expect("the program runs");
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--die-with-parent") && text.contains("LEAT_PARENT=0"), "{text}");
}

#[test]
fn leat_up_detects_another_leat_on_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in taken.incoming() {
            let mut stream = stream.expect("a connection");
            let body = "{\"status\":\"ok\",\"engine\":\"ready\"}\n";
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // The client may not wait for the answer.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let output = run(env!("CARGO_BIN_EXE_leat"), &["up", "--http", &address]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--http") && text.contains("in use"), "{text}");
    assert!(output.stdout.is_empty(), "it must not report that it is up");
}

#[test]
fn leat_token_creates_a_valid_token() {
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
    let verifier = Keyring::with_secret(secret.as_bytes(), Duration::ZERO).expect("a good secret");
    for (option, can) in [
        ("--no-publish", (false, true, false)),
        ("--no-subscribe", (true, false, false)),
        ("--plain", (true, true, true)),
    ] {
        let grant = verifier.validate_token(&mint(option), now).expect("admitted");
        grant.check_room("stage").expect("admitted");
        let it = grant.permissions;
        assert_eq!((it.can_publish, it.can_subscribe, it.can_use_plain_transports), can, "{option}");
        assert_eq!(grant.user, "ada");
    }
    let later = now + Duration::from_secs(302);
    verifier.validate_token(&mint("--no-publish"), later).expect_err("expired");

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
fn leat_token_signs_with_a_named_key_and_grants_what_options_say() {
    let file = std::env::temp_dir().join(format!("leat-cli-named-{}", std::process::id()));
    std::fs::write(&file, "a secret of this name, 32 bytes or more\n").expect("a temporary file");
    let key = format!("2026-11={}", file.display());
    let token = |more: &[&str]| {
        let basis = ["token", "--room", "*", "--user", "ada", "--kid", "2026-11", "--token-key", &key];
        let output = run(env!("CARGO_BIN_EXE_leat"), &[&basis[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    };
    let given =
        token(&["--admin", "--hidden", "--publish-source", "screen", "--no-create-room", "--metadata"]);
    let plain = token(&["--token-audience", "leat.example"]);
    let mut keyring = Keyring::new(Duration::ZERO);
    keyring.add("2026-11", &std::fs::read(&file).expect("the file")).expect("a good secret");
    std::fs::remove_file(&file).expect("a temporary file");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let session = keyring.validate_token(&given, now).expect("valid");
    session.check_room("any").expect("every room");
    assert_eq!(session.token.key.as_deref(), Some("2026-11"));
    let may = session.permissions;
    assert!(may.admin && may.hidden && may.can_update_own_metadata && !may.can_create_room);
    assert_eq!(may.can_publish_sources, Some(vec!["screen".to_owned()]));
    keyring.require_audience(Some("leat.example".into()));
    keyring.validate_token(&plain, now).expect("for this audience");
    keyring.validate_token(&given, now).expect_err("for no audience");
}

#[test]
fn without_a_secret_leat_token_uses_the_development_key() {
    let dir = std::env::temp_dir().join(format!("leat-cli-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a temporary directory");
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
    let verifier = Keyring::with_secret(&key, Duration::ZERO).expect("a good secret");
    assert_eq!(verifier.validate_token(token.trim_end(), now).expect("admitted").user, "ada");
    std::fs::remove_dir_all(dir.join("leat")).expect("a temporary directory");

    std::fs::write(dir.join("leat"), "in the way of the directory").expect("a temporary directory");
    let output = mint(&dir);
    std::fs::remove_dir_all(&dir).expect("a temporary directory");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--secret-file"));
}

#[test]
fn leat_token_refuses_a_public_key() {
    let file = std::env::temp_dir().join(format!("leat-cli-public-{}.pem", std::process::id()));
    std::fs::write(&file, "-----BEGIN PUBLIC KEY-----\n").expect("a temporary file");
    let arguments = ["token", "--room", "stage", "--user", "ada", "--public-key-file"];
    let path = file.display().to_string();
    let output = run(env!("CARGO_BIN_EXE_leat"), &[&arguments[..], &[&path]].concat());
    std::fs::remove_file(&file).expect("a temporary file");
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty(), "it must not print a token");
    assert!(text.contains("a public key cannot sign a token") && text.contains(&path), "{text}");
}

#[test]
fn key_by_option_and_by_environment_is_refused_with_both_names() {
    let (room, user) = (["--room", "stage"], ["--user", "ada"]);
    let token = [&["token"][..], &room, &user].concat();
    for (program, first) in [
        (env!("CARGO_BIN_EXE_leat-signaling"), &["--http", "127.0.0.1:0"][..]),
        (env!("CARGO_BIN_EXE_leat"), &["up", "--http", "127.0.0.1:7079"]),
        (env!("CARGO_BIN_EXE_leat"), &token),
    ] {
        for option in ["--secret-file", "--public-key-file"] {
            let arguments = [first, &[option, "an operator's secret of 32 bytes"]].concat();
            let output = Command::new(program)
                .args(&arguments)
                .env("LEAT_SECRET", "another secret with 32 bytes, too")
                .output()
                .expect("the program runs");
            let text = errors(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
            let wanted = format!("{option} and the environment variable LEAT_SECRET exclude each other");
            assert!(text.contains(&wanted), "{arguments:?}: {text}");
        }
    }
    // The same option has precedence on the command line.
    let own = ["--secret", "an operator's secret of 32 bytes"];
    let output = Command::new(env!("CARGO_BIN_EXE_leat"))
        .args([&token[..], &own].concat())
        .env("LEAT_SECRET", "another secret with 32 bytes, too")
        .output()
        .expect("the program runs");
    let minted = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let verifier = Keyring::with_secret(own[1].as_bytes(), Duration::ZERO).expect("a good secret");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    assert_eq!(verifier.validate_token(&minted, now).expect("admitted").user, "ada");
    let (code, text) = signaling(&["--secret", "a", "--secret-file", "b"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--secret-file") && !text.contains("LEAT_SECRET"), "{text}");
}

#[test]
fn key_file_that_other_users_can_read_causes_a_warning() {
    let warnings = |mode: u32| {
        let file = std::env::temp_dir().join(format!("leat-cli-key-{mode:o}-{}", std::process::id()));
        std::fs::write(&file, "an operator's secret of 32 bytes").expect("a temporary file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("a temporary file");
        let path = file.display().to_string();
        let log = log_of_start(&[
            "--secret-file",
            &path,
            "--turn-url",
            "turn:127.0.0.1:1",
            "--turn-secret-file",
            &path,
        ]);
        std::fs::remove_file(&file).expect("a temporary file");
        let about = |option: &str| {
            log.iter().filter(|line| line.contains(option) && line.contains("chmod 600")).count()
        };
        [about("\"--secret-file:"), about("\"--turn-secret-file:")]
    };
    assert_eq!([0o644, 0o640, 0o604, 0o600, 0o400].map(warnings), [[1, 1], [1, 1], [1, 1], [0, 0], [0, 0]]);
}

/// The log of signaling from its start until it listens.
fn log_of_start(arguments: &[&str]) -> Vec<String> {
    let mut process = signaling_command()
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

/// `leat-signaling`, whose database is not that of this user.
fn signaling_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leat-signaling"));
    command.env("XDG_STATE_HOME", state_home());
    command
}

fn state_home() -> std::path::PathBuf {
    std::env::temp_dir().join("leat-signaling-tests")
}
