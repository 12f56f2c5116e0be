//! Requests that `schemathesis` generates from the OpenAPI document, valid and invalid ones: no answer is an error of
//! the server, and none differs from the document. It is a program of PyPI, which `make test` installs.

mod harness;

use harness::api::{ApiServer, basic};
use signaling::auth::token::Permissions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use stores::accounts::DEFAULT_PROJECT;
use tokio::process::Command;
use tokio::time::timeout;

/// The program, in PATH or where `make test` puts it.
fn program() -> PathBuf {
    const NAME: &str = "schemathesis";
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain([tools]).map(|folder| folder.join(NAME));
    let found = found.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{NAME} is missing: `make test` installs it, or `pip install {NAME}`"))
}

/// A configuration in which most requests are about this participant, so that not all answers are 404.
fn configuration(participant: &str) -> String {
    let document = signaling::api::document();
    let mut text = String::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys().filter(|method| *method != "delete") {
            if path.contains("{room}") {
                let name = format!("{} {path}", method.to_uppercase());
                text +=
                    &format!("[[operations]]\ninclude-name = \"{name}\"\nparameters = {{ room = \"lobby\"");
                text += &if path.contains("{id}") {
                    format!(", id = \"{participant}\" }}\n")
                } else {
                    " }\n".to_owned()
                };
            }
        }
    }
    text
}

/// Runs it with this header, for at most this time in seconds, and checks that it finds nothing.
async fn finds_nothing(server: &ApiServer, participant: &str, authorization: Option<&str>, seconds: u32) {
    let folder = std::env::temp_dir().join(format!("leat-schemathesis-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("schemathesis.toml");
    std::fs::write(&file, configuration(participant)).expect("a file");
    let mut command = Command::new(program());
    command
        .arg("--config-file")
        .arg(&file)
        .args(["run", &format!("http://{}/api/v1/openapi.json", server.address)])
        .args(["--checks", "all", "--seed", "1", "--max-examples", "20"])
        // JSON Schema cannot say what is valid: bytes of UTF-8, cursors, and fields that exclude each other.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--warnings",
            "off",
            "--suppress-health-check",
            "all",
        ])
        // Below the limit of the server for one address.
        .args(["--rate-limit", "90/s", "--max-time", &seconds.to_string(), "--no-shrink"])
        .env("NO_COLOR", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(&folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(authorization) = authorization {
        command.args(["--header", &format!("Authorization: {authorization}")]);
    }
    let output = timeout(4 * harness::LIMIT, command.output()).await;
    let output = output.expect("an end in time").expect("it starts");
    let _ = std::fs::remove_dir_all(&folder);
    let report = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}\n{errors}");
    // "346 generated, 346 passed, 48 skipped"; so that a run without requests is no success.
    let count = |what: &str| {
        let before =
            report.lines().find_map(|line| line.split_once(" generated").and_then(|_| line.split_once(what)));
        before.and_then(|(before, _)| before.split([' ', ',']).next_back()?.parse::<usize>().ok())
    };
    let operations = signaling::api::document()["paths"].as_object().map_or(0, |paths| paths.len());
    let (generated, passed) = (count(" generated"), count(" passed"));
    assert!(generated == passed && generated.is_some_and(|count| count > 2 * operations), "{report}");
}

#[tokio::test]
async fn generated_requests_find_nothing() {
    let server = ApiServer::start("schemathesis").await;
    let (ada, joined) = server.enter("lobby", "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    ada.produce(&send, "audio").await;
    let key = basic(&server.key(DEFAULT_PROJECT).await);
    let user = server.user(DEFAULT_PROJECT, "ada", false).await;
    for (authorization, seconds) in [(Some(key), 30), (Some(user), 15), (None, 10)] {
        finds_nothing(&server, &joined.peer_id, authorization.as_deref(), seconds).await;
    }
}
