//! Third-party programs, unmodified: ffmpeg and GStreamer.

use crate::PATIENCE;
use std::fs::{self, File};
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The timeout of a program for a second or two of media: it runs in real time, on a machine that may be
/// busy.
const MEDIA_PATIENCE: Duration = Duration::from_secs(120);

/// A program that runs, and ends with the test.
#[derive(Debug)]
pub struct Program {
    process: Child,
    name: String,
    /// Its standard output and standard error.
    logs: [PathBuf; 2],
}

impl Program {
    /// Runs a command line, of which each line is one or several arguments without blanks, or one argument
    /// between quotes.
    pub fn start(line: &str) -> Self {
        let (name, arguments) =
            line.trim().split_once(char::is_whitespace).expect("a program and its arguments");
        let logs = ["out", "err"].map(temporary);
        let [out, err] = logs.each_ref().map(|path| File::create(path).unwrap());
        let mut command = Command::new(name);
        command.args(split(arguments)).stdin(Stdio::null()).stdout(out).stderr(err);
        // Without this, GStreamer prints no warnings.
        command.env("GST_DEBUG", "2").env("GST_DEBUG_NO_COLOR", "1");
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("{name} cannot be run ({error}); .ci/test installs it with all that the tests need")
        });
        Self { process, name: name.to_owned(), logs }
    }

    /// Waits until something on this host listens on a UDP port.
    pub fn await_listening(&mut self, ip: IpAddr, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while UdpSocket::bind((ip, port)).is_ok() {
            assert_eq!(self.process.try_wait().unwrap(), None, "{} ended instead of listening", self.name);
            assert!(Instant::now() < deadline, "{} does not listen within {PATIENCE:?}", self.name);
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends by itself, which must succeed; returns its standard output and standard error.
    pub fn finish(mut self) -> (String, String) {
        let deadline = Instant::now() + MEDIA_PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{} does not end within {MEDIA_PATIENCE:?}", self.name);
            sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{}: {status}", self.name);
        let [out, err] = self.logs.each_ref().map(|path| fs::read_to_string(path).unwrap());
        (out, err)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for log in &self.logs {
            if std::thread::panicking() {
                eprintln!("what {} said:\n{}", self.name, fs::read_to_string(log).unwrap_or_default());
            }
            let _ = fs::remove_file(log);
        }
    }
}

/// A file with this text, which is gone when dropped.
#[derive(Debug)]
pub struct TextFile(pub PathBuf);

impl TextFile {
    /// A new one.
    pub fn new(extension: &str, text: &str) -> Self {
        let path = temporary(extension);
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn temporary(extension: &str) -> PathBuf {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("leat-program-{}-{number}.{extension}", std::process::id()))
}

/// Splits at blanks outside of quotes.
fn split(line: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let mut is_quoted = false;
    for char in line.chars() {
        match char {
            '"' => is_quoted = !is_quoted,
            char if char.is_whitespace() && !is_quoted => arguments.push(String::new()),
            char => arguments.last_mut().expect("there is always one").push(char),
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

/// The encoding of keys in SDP and ffmpeg (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let value = word >> (18 - 6 * digit) & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[test]
fn base64_matches_the_rfc() {
    let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
    assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
}

#[test]
fn command_lines_are_split_at_blanks_outside_of_quotes() {
    assert_eq!(split("-a b\n  \"c d\" e=\"f g\""), ["-a", "b", "c d", "e=f g"]);
}
