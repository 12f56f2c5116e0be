//! Signaling in development mode behind a real nginx: requests through a proxy are refused, with any form of
//! `Host`.

use crate::PATIENCE;
use crate::engine::{binary, socket_path};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A process, killed when dropped, with its folder.
struct Program(Child, Option<PathBuf>);

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
        self.1.iter().for_each(|folder| drop(fs::remove_dir_all(folder)));
    }
}

/// Signaling in development mode, and its address.
fn signaling() -> (Program, SocketAddr) {
    let mut process = Command::new(binary("leat-signaling"))
        .args(["--http", "127.0.0.1:0", "--log", "json", "--control-socket"])
        .arg(socket_path())
        .env_remove("LEAT_SECRET")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("\"listening\"")).expect("it listens");
    // The rest of its log is read, so that a full pipe does not block it.
    std::thread::spawn(move || lines.for_each(drop));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = line["context"]["address"].as_str().unwrap().parse().unwrap();
    (Program(process, None), address)
}

/// nginx in front of `upstream`, with these lines in its `location`.
fn nginx(upstream: SocketAddr, location: &str) -> (Program, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = socket_path().with_extension("nginx");
    fs::create_dir(&folder).unwrap();
    let path = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {path}/{name};\n"))
        .concat();
    let configuration = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\nevents {{}}\nhttp {{ access_log off;\n{temporary}\
         server {{ listen {address}; location / {{ proxy_pass http://{upstream};\n{location} }} }} }}\n"
    );
    fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let process = Command::new("nginx")
        .args(["-p", &path.to_string(), "-e", "error.log", "-c", "nginx.conf"])
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed");
    let nginx = Program(process, Some(folder));
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nginx does not listen");
        sleep(Duration::from_millis(20));
    }
    (nginx, address)
}

/// The status of a GET from a browser with this name of the server.
fn get(address: SocketAddr, host: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn development_mode_refuses_requests_through_nginx() {
    let (_signaling, address) = signaling();
    let handshake = "/socket.io/?EIO=4&transport=polling";
    for path in ["/", "/healthz", handshake] {
        assert_eq!(get(address, "localhost", path), 200, "{path} without a proxy");
    }
    for (what, location) in [
        ("nginx's defaults", ""),
        ("Debian's proxy_params", "include /etc/nginx/proxy_params;"),
        (
            "another Host, and HTTP/1.1",
            "proxy_http_version 1.1; proxy_set_header Host localhost; proxy_set_header X-Forwarded-For $remote_addr;",
        ),
        ("Forwarded alone", "proxy_http_version 1.1; proxy_set_header Forwarded for=192.0.2.7;"),
        ("Via alone", "proxy_http_version 1.1; proxy_set_header Via \"1.1 edge\";"),
        ("X-Real-IP alone", "proxy_http_version 1.1; proxy_set_header X-Real-IP $remote_addr;"),
    ] {
        let (_nginx, proxy) = nginx(address, location);
        for path in ["/", "/healthz", handshake] {
            for host in ["meet.example", "localhost"] {
                assert_eq!(get(proxy, host, path), 403, "{what}: {path} of {host}");
            }
        }
    }
}
