//! `leat up`: starts the engine, signaling and the TURN server, starts each again at once when it dies, and ends all when asked to.
//!
//! They need each other only while they run: no start waits for another. What holds them together is
//! that none outlives this process, however it ends.

use crate::auth::dev_key::private_dir;
use crate::config::{self, ConfigError, cli, default_listen_ips, own_address};
use crate::rooms::Admission;
use anyhow::{Context, bail};
use leat_log::Format;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// A process that lives shorter than this dies "quickly".
const QUICK: Duration = Duration::from_secs(5);
/// Pause before the start after the second quick death in a row; doubles with each up to [`PAUSE_MAX`]. After the first there is none: one
/// crash must not cost the call a tenth of a second.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause before a start.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the processes may take to end once asked to.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How often to look whether all is ready.
const READY_POLL: Duration = Duration::from_millis(50);

/// Runs until asked to end. The result is the exit code; that of a child whose first start failed is passed on.
pub fn run(options: cli::Up, format: Format) -> anyhow::Result<u8> {
    leat_log::start(format, crate::LOG_FILTER);
    check(&options)?;
    // One thread, which lives as long as the process: the kernel's parent-death signal is about threads.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(supervise(options, format))
}

/// What a child would refuse is better told here, once.
fn check(options: &cli::Up) -> Result<(), ConfigError> {
    let http = options.http.http;
    config::media(&options.media)?;
    let admission = config::admission(&options.key)?;
    if matches!(admission, Admission::Everybody { .. }) && !http.ip().is_loopback() {
        return Err(ConfigError::DevelopmentModeInPublic(http));
    }
    check_relay_ips(options)?;
    if http.port() == 0 { Err(ConfigError::NoPort(http)) } else { Ok(()) }
}

fn check_relay_ips(options: &cli::Up) -> Result<(), ConfigError> {
    let listen_ips = listen_ips(options);
    let same_family = |a: &IpAddr, b: &IpAddr| a.is_ipv4() == b.is_ipv4();
    for (index, ip) in options.relay_ip.iter().enumerate() {
        let is_second = options.relay_ip[..index].iter().any(|first| same_family(first, ip));
        let has_family = listen_ips.iter().any(|listen| same_family(listen, ip));
        if is_second || !has_family || ip.is_unspecified() || ip.is_multicast() {
            return Err(ConfigError::RelayIp(*ip));
        }
    }
    Ok(())
}

async fn supervise(options: cli::Up, format: Format) -> anyhow::Result<u8> {
    let mut ended = std::pin::pin!(termination().context("cannot listen for signals")?);
    // Without a listener it would kill this process alone.
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    // Whoever has the port may well answer that it is ready: another Leat.
    drop(crate::server::http::bind(options.http.http).await?);
    let turn_place = turn_place(&options)?;
    let control_socket = prepare_control_socket(options.control_socket.as_deref())?;
    let mut engine = Supervised::new("leat-engine", engine_arguments(&options, &control_socket, format))?;
    let mut signaling = Supervised::new(
        "leat-signaling",
        signaling_arguments(&options, turn_place.as_ref(), &control_socket, format),
    )?;
    if let Some(secret) = options.key.secret.as_ref().or(options.key.secret_of_environment.as_ref()) {
        // Not among the arguments, where everybody on the machine could read it.
        signaling.environment.push((SECRET_VARIABLE.into(), secret.into()));
    }
    let mut turn = match &turn_place {
        None => None,
        Some(place) => Some(Supervised::new("leat-turn", turn_arguments(&options, place, format))?),
    };
    if let Some(turn) = &mut turn {
        // Nobody else has to know it: both get the same, and keep it when either is started again.
        let secret: OsString = random_secret().context("the system gives no randomness")?.into();
        turn.environment.push((TURN_SECRET_VARIABLE.into(), secret.clone()));
        signaling.environment.push((TURN_SECRET_VARIABLE.into(), secret));
        turn.start()?;
    }
    engine.start()?;
    signaling.start()?;

    let mut ready = std::pin::pin!(until_ready(options.http.http));
    let mut is_up = false;
    let code = loop {
        let (who, status) = tokio::select! {
            signal = &mut ended => {
                tracing::info!(signal, "asked to end");
                break 0;
            }
            () = &mut ready, if !is_up => {
                is_up = true;
                println!("Leat is up: {}", address(options.http.http));
                continue;
            }
            Some(()) = hangups.recv() => {
                match &turn {
                    Some(turn) => turn.hang_up(),
                    None => tracing::info!("SIGHUP: there is no TURN server to read its files again; ignored"),
                }
                continue;
            }
            status = engine.died() => (&mut engine, status?),
            status = signaling.died() => (&mut signaling, status?),
            Some(status) = died(&mut turn), if turn.is_some() => match &mut turn {
                Some(turn) => (turn, status?),
                None => continue,
            },
        };
        // Calls work without a TURN server. One that nobody asked for ends nothing; it is started again.
        let is_needed = who.name != "leat-turn" || has_turn_option(&options);
        let is_first_start = is_needed && (!is_up || who.starts == 1 && who.started.elapsed() < QUICK);
        if is_first_start && !status.success() && status.code().is_some() {
            tracing::error!(process = who.name, status = %status, "did not start; its own words are above");
            break u8::try_from(status.code().unwrap_or(1)).unwrap_or(1);
        }
        who.plan_restart(&status);
    };
    let end_turn = async {
        if let Some(turn) = &mut turn {
            turn.end().await;
        }
    };
    tokio::join!(engine.end(), signaling.end(), end_turn);
    Ok(code)
}

/// Waits until a process dies that need not be.
async fn died(process: &mut Option<Supervised>) -> Option<anyhow::Result<ExitStatus>> {
    Some(process.as_mut()?.died().await)
}

/// A secret for the TURN server's credentials, in hexadecimal digits.
fn random_secret() -> Result<String, getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One child process, and how it has fared.
struct Supervised {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    child: Option<Child>,
    starts: u64,
    started: Instant,
    /// When to start it, while it does not run.
    start_at: Instant,
    quick_deaths: u32,
}

impl Supervised {
    /// The program of this name beside the running one.
    fn new(name: &'static str, arguments: Vec<OsString>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let program = own.with_file_name(name);
        if !program.is_file() {
            bail!("{} is not there; it belongs beside {}", program.display(), own.display());
        }
        let now = Instant::now();
        let environment = vec![(PARENT_VARIABLE.into(), std::process::id().to_string().into())];
        Ok(Self {
            name,
            program,
            arguments,
            environment,
            child: None,
            starts: 0,
            started: now,
            start_at: now,
            quick_deaths: 0,
        })
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        // What is secret reaches those alone that need it. A process group of its own: Ctrl-C reaches this process alone, which then ends the
        // others in order.
        command
            .args(&self.arguments)
            .env_remove(SECRET_VARIABLE)
            .env_remove(TURN_SECRET_VARIABLE)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        self.starts += 1;
        self.started = Instant::now();
        tracing::info!(process = self.name, pid = child.id(), "started");
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the child dies; starts it first, when it is time to. Can be dropped and called again.
    async fn died(&mut self) -> anyhow::Result<ExitStatus> {
        while self.child.is_none() {
            tokio::time::sleep_until(self.start_at).await;
            if let Err(error) = self.start() {
                self.put_off(error.as_ref());
            }
        }
        let child = self.child.as_mut().expect("it was just started");
        let status = child.wait().await.with_context(|| format!("cannot wait for {}", self.name))?;
        self.child = None;
        Ok(status)
    }

    /// It could not be started again: the program is being replaced, or the machine lacks memory or process numbers for the moment.
    fn put_off(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.quick_deaths = self.quick_deaths.max(1) + 1;
        let pause = pause(self.quick_deaths);
        let pause_ms = pause.as_millis() as u64;
        tracing::error!(process = self.name, error, pause_ms, "could not be started again; trying later");
        self.start_at = Instant::now() + pause;
    }

    fn plan_restart(&mut self, status: &ExitStatus) {
        let lived = self.started.elapsed();
        self.quick_deaths = if lived < QUICK { self.quick_deaths + 1 } else { 0 };
        let pause = pause(self.quick_deaths);
        let (lived_ms, pause_ms) = (lived.as_millis() as u64, pause.as_millis() as u64);
        tracing::error!(process = self.name, status = %status, lived_ms, pause_ms, "died; starting it again");
        self.start_at = Instant::now() + pause;
    }

    /// Passes SIGHUP on.
    fn hang_up(&self) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id()?.cast_signed()));
        if let Some(pid) = pid {
            // It may have died a moment ago; then it reads its files when it is started again.
            let _ = kill_process(pid, Signal::HUP);
        }
    }

    /// Asks the child to end, and makes it.
    async fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(END_TIMEOUT, child.wait()).await.is_err() {
            tracing::warn!(process = self.name, "did not end within {END_TIMEOUT:?}; killing it");
            let _ = child.kill().await;
        }
    }
}

/// Before the next start, after so many quick deaths or failed starts in a row.
fn pause(quick_deaths: u32) -> Duration {
    match quick_deaths {
        0 | 1 => Duration::ZERO,
        deaths => PAUSE_MIN.saturating_mul(2u32.saturating_pow(deaths - 2)).min(PAUSE_MAX),
    }
}

fn engine_arguments(options: &cli::Up, control_socket: &Path, format: Format) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    push("--rtc-port", options.rtc_port.to_string().into());
    push("--control-socket", control_socket.into());
    push("--log", format.name().into());
    listen_ips(options).iter().for_each(|ip| push("--listen-ip", ip.to_string().into()));
    options.announced_ip.iter().for_each(|host| push("--announced-ip", host.into()));
    if let Some(workers) = options.workers {
        push("--workers", workers.to_string().into());
    }
    if let Some(seconds) = options.grace_period {
        push("--grace-period", seconds.to_string().into());
    }
    if let Some(seconds) = options.consent_timeout {
        push("--consent-timeout", seconds.to_string().into());
    }
    if let Some(port) = options.rtc_tcp_port {
        push("--rtc-tcp-port", port.to_string().into());
    }
    if options.no_udp_candidates {
        arguments.push("--no-udp-candidates".into());
    }
    if options.check_announced {
        arguments.push("--check-announced".into());
    }
    arguments.push("--die-with-parent".into());
    arguments
}

/// Where media is taken.
fn listen_ips(options: &cli::Up) -> Vec<IpAddr> {
    if options.listen_ip.is_empty() { default_listen_ips() } else { options.listen_ip.clone() }
}

/// Where clients are told to send media, of the families that are listened on. A name that has no address is the engine's to refuse.
fn announced_ips(options: &cli::Up) -> Vec<IpAddr> {
    let found = |host: &String| (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
    let ips = options.announced_ip.iter().flat_map(found).map(|address| address.ip());
    of_families(&listen_ips(options), ips)
}

/// Those of a family that is listened on: a name may well have addresses of both. Each once.
fn of_families(listen_ips: &[IpAddr], ips: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for ip in ips.filter(|ip| listen_ips.iter().any(|listen| listen.is_ipv4() == ip.is_ipv4())) {
        if !kept.contains(&ip) {
            kept.push(ip);
        }
    }
    kept
}

/// Where the TURN server is: of each family for which there is an address to relay from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TurnPlace {
    port: u16,
    listen_ips: Vec<IpAddr>,
    /// Only where another than a listening address is needed.
    relay_ips: Vec<IpAddr>,
    announced_ips: Vec<IpAddr>,
}

/// Where there is to be a TURN server. `None`, with a line in the log, where it cannot be for a reason that no option of the operator
/// has: calls work without it for all clients but those that cannot reach the media ports.
fn turn_place(options: &cli::Up) -> anyhow::Result<Option<TurnPlace>> {
    let port = options.turn_port.unwrap_or(TURN_PORT_DEFAULT);
    if port == 0 {
        return Ok(None);
    }
    let is_here = |ip: IpAddr| std::net::UdpSocket::bind((ip, 0)).is_ok();
    let (listen_ips, announced_ips) = (listen_ips(options), announced_ips(options));
    let place = TurnPlace { port, ..plan_turn(options, &listen_ips, &announced_ips, own_address, is_here) };
    if place.listen_ips.is_empty() {
        tracing::warn!("no TURN server: this machine has no address to relay from; name one with --relay-ip");
        return Ok(None);
    }
    match check_turn_ports(options, &place) {
        Err(error) if !has_turn_option(options) => {
            tracing::warn!("no TURN server: {error}");
            Ok(None)
        }
        checked => checked.map(|()| Some(place)),
    }
}

/// Whether the operator has chosen something about the TURN server.
fn has_turn_option(options: &cli::Up) -> bool {
    let is_given =
        [options.turn_port.is_some(), options.turn_certificate.is_some(), options.turn_host.is_some()];
    is_given.contains(&true) || !options.relay_ip.is_empty()
}

fn plan_turn(
    options: &cli::Up,
    listen_ips: &[IpAddr],
    announced_ips: &[IpAddr],
    own_address: impl Fn(bool) -> Option<IpAddr>,
    is_here: impl Fn(IpAddr) -> bool,
) -> TurnPlace {
    let mut place = TurnPlace::default();
    for is_ipv6 in [false, true] {
        let of_family = |ip: &&IpAddr| ip.is_ipv6() == is_ipv6;
        let listen = listen_ips.iter().filter(of_family).copied();
        let announced = || announced_ips.iter().filter(of_family).copied();
        let given = options.relay_ip.iter().find(of_family).copied();
        // A server that listens on all addresses has to relay from one of them.
        let chosen = || own_address(is_ipv6).or_else(|| announced().find(|ip| is_here(*ip)));
        let relay = match listen.clone().any(|ip| ip.is_unspecified()) {
            true => given.or_else(chosen),
            false => given,
        };
        if relay.is_some() || listen.clone().any(|ip| !ip.is_unspecified()) {
            place.listen_ips.extend(listen.filter(|ip| relay.is_some() || !ip.is_unspecified()));
            place.relay_ips.extend(relay);
            place.announced_ips.extend(announced());
        }
    }
    place
}

/// The TURN server listens where the engine does, and relays to the engine only.
fn turn_arguments(options: &cli::Up, place: &TurnPlace, format: Format) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    push("--port", place.port.to_string().into());
    push("--log", format.name().into());
    place.listen_ips.iter().for_each(|ip| push("--listen-ip", ip.to_string().into()));
    place.relay_ips.iter().for_each(|ip| push("--relay-ip", ip.to_string().into()));
    if let (Some(certificate), Some(key)) = (&options.turn_certificate, &options.turn_private_key) {
        push("--tls-port", options.turn_tls_port.to_string().into());
        push("--certificate", certificate.into());
        push("--private-key", key.into());
    }
    for is_ipv6 in [false, true] {
        let announced = place.announced_ips.iter().find(|ip| ip.is_ipv6() == is_ipv6);
        announced.into_iter().for_each(|ip| push("--announced-ip", ip.to_string().into()));
    }
    // As the engine counts them.
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
    let last = options.rtc_port.saturating_add(options.workers.unwrap_or_else(cores) - 1);
    let engine = [listen_ips(options), announced_ips(options)].concat();
    for ip in engine.iter().filter(|ip| !ip.is_unspecified()) {
        let first = SocketAddr::new(*ip, options.rtc_port);
        push("--allow-peer", format!("{first}-{last}").into());
    }
    arguments.push("--allowed-peers-only".into());
    arguments.push("--die-with-parent".into());
    arguments
}

/// The TURN server would name its own options, which nobody gave.
fn check_turn_ports(options: &cli::Up, place: &TurnPlace) -> anyhow::Result<()> {
    let taken = |option: &str, protocol: &str, address: SocketAddr, bound: io::Result<()>| match bound {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "{option} {port}: {protocol} port {port} on {ip} is in use by another process: stop it, choose another port, or start \
             no TURN server with --turn-port 0",
            port = address.port(),
            ip = address.ip()
        ),
        // The server tells of anything else, in words that fit.
        _ => Ok(()),
    };
    let has_tls = options.turn_certificate.is_some();
    let ports = [("--turn-port", place.port), ("--turn-tls-port", options.turn_tls_port)];
    for (option, port) in ports.into_iter().take(1 + usize::from(has_tls)) {
        for ip in &place.listen_ips {
            let address = SocketAddr::new(*ip, port);
            taken(option, "UDP", address, std::net::UdpSocket::bind(address).map(drop))?;
            taken(option, "TCP", address, std::net::TcpListener::bind(address).map(drop))?;
        }
    }
    Ok(())
}

/// Where clients find the TURN server: by its name, or by the addresses that they are told of the engine too. Loopback only where
/// there is nothing else.
fn turn_urls(options: &cli::Up, place: &TurnPlace) -> Vec<String> {
    let TurnPlace { listen_ips, announced_ips, .. } = place;
    let announced = |ip: &&IpAddr| !announced_ips.iter().any(|told| told.is_ipv4() == ip.is_ipv4());
    let told: Vec<IpAddr> =
        announced_ips.iter().chain(listen_ips.iter().filter(announced)).copied().collect();
    let beyond: Vec<IpAddr> = told.iter().copied().filter(|ip| !ip.is_loopback()).collect();
    let hosts: Vec<String> = match &options.turn_host {
        Some(name) => vec![name.clone()],
        None => {
            let ips = if beyond.is_empty() { told } else { beyond };
            ips.iter().take(TURN_HOSTS_MAX).map(|ip| turn_host(*ip)).collect()
        }
    };
    let (port, tls_port) = (place.port, options.turn_tls_port);
    let urls = |host: &String| {
        let plain = ["udp", "tcp"].map(|transport| format!("turn:{host}:{port}?transport={transport}"));
        let secure =
            options.turn_certificate.as_ref().map(|_| format!("turns:{host}:{tls_port}?transport=tcp"));
        plain.into_iter().chain(secure)
    };
    hosts.iter().flat_map(urls).collect()
}

fn turn_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn signaling_arguments(
    options: &cli::Up,
    turn: Option<&TurnPlace>,
    control_socket: &Path,
    format: Format,
) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    push("--http", options.http.http.to_string().into());
    push("--control-socket", control_socket.into());
    push("--log", format.name().into());
    if let Some(path) = &options.key.secret_file {
        push("--secret-file", path.into());
    }
    if let Some(path) = &options.key.public_key_file {
        push("--public-key-file", path.into());
    }
    if let Some(path) = &options.media.media {
        push("--media", path.into());
    }
    push("--spread-above", options.rooms.spread_above.to_string().into());
    push("--peers-per-user", options.rooms.peers_per_user.to_string().into());
    push("--connections-per-address", options.edge.connections_per_address.to_string().into());
    options.edge.trusted_proxy.iter().for_each(|it| push("--trusted-proxy", it.to_string().into()));
    options.edge.allow_origin.iter().for_each(|it| push("--allow-origin", it.to_string().into()));
    for url in turn.into_iter().flat_map(|place| turn_urls(options, place)) {
        push("--turn-url", url.into());
    }
    arguments.push("--die-with-parent".into());
    arguments
}

/// Makes the directory of the control socket, for this user alone.
fn prepare_control_socket(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = chosen.map_or_else(config::control_socket, Path::to_path_buf);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if chosen.is_none() {
        private_dir(dir).context("choose another place with --control-socket")?;
        return Ok(path);
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error)
                .with_context(|| format!("--control-socket {}: cannot make its directory", path.display()));
        }
        _ => {}
    }
    Ok(path)
}

/// Resolves once signaling serves and has an engine.
async fn until_ready(http: SocketAddr) {
    let ip = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, http.port());
    while !matches!(timeout(Duration::from_secs(1), is_ready(address)).await, Ok(Ok(true))) {
        sleep(READY_POLL).await;
    }
}

async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).contains("\"engine\":\"ready\""))
}

/// The address to open in a browser.
fn address(http: SocketAddr) -> String {
    if http.ip().is_loopback() || http.ip().is_unspecified() {
        format!("http://localhost:{}", http.port())
    } else {
        format!("http://{http}")
    }
}

/// As registered (RFC 8656 §18).
const TURN_PORT_DEFAULT: u16 = 3478;

/// Addresses of the TURN server that clients are told: one of each family.
const TURN_HOSTS_MAX: usize = 2;

/// By what signaling learns the key for tokens.
const SECRET_VARIABLE: &str = crate::config::cli::SECRET_VARIABLE;

/// By what the TURN server and signaling learn the secret they share.
const TURN_SECRET_VARIABLE: &str = "LEAT_TURN_SECRET";

/// What `leat up` tells its children its own process id by.
const PARENT_VARIABLE: &str = "LEAT_PARENT";

/// Has the kernel kill this process when its parent dies. An error if the parent that started it has died before.
pub fn die_with_parent() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot ask the kernel for it")?;
    // The kernel tells of deaths to come. One that came first left this process to another parent.
    let parent = std::os::unix::process::parent_id().to_string();
    match std::env::var(PARENT_VARIABLE) {
        Ok(expected) if expected != parent => {
            bail!("the process that started this one ({PARENT_VARIABLE}={expected}) has died already")
        }
        _ => Ok(()),
    }
}

/// From now on, SIGINT and SIGTERM no longer kill; the future resolves with the name of the one that came.
pub fn termination() -> io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn up(flags: &str) -> cli::Up {
        let flags = ["leat", "up"].into_iter().chain(flags.split_whitespace());
        let cli::LeatCommand::Up(up) = cli::Leat::parse_from(flags).command else { panic!("it is up") };
        up
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    /// As on a machine with these addresses of its own.
    fn plan(flags: &str, announced: &[&str], own: &[&str]) -> TurnPlace {
        let (options, own) = (up(flags), ips(own));
        let listen_ips = listen_ips(&options);
        let announced_ips = of_families(&listen_ips, ips(announced).into_iter());
        let own_address = |is_ipv6| own.iter().copied().find(|ip| ip.is_ipv6() == is_ipv6);
        plan_turn(&options, &listen_ips, &announced_ips, own_address, |ip| {
            ip == IpAddr::from([203, 0, 113, 7])
        })
    }

    #[test]
    fn turn_relays_from_an_address_of_the_machine_or_not_at_all() {
        let any = "--listen-ip 0.0.0.0";
        let announced = &["203.0.113.7", "2001:db8::7"][..];
        let place = |relay: &str| TurnPlace {
            listen_ips: ips(&["0.0.0.0"]),
            relay_ips: ips(&[relay]),
            announced_ips: ips(&["203.0.113.7"]),
            ..TurnPlace::default()
        };
        // A name with addresses of both families is announced of the one that is listened on.
        assert_eq!(plan(any, announced, &["10.0.0.5", "2001:db8::5"]), place("10.0.0.5"));
        assert_eq!(plan(&format!("{any} --relay-ip 10.0.0.9"), announced, &["10.0.0.5"]), place("10.0.0.9"));
        // Without a default route: the announced address, where the machine has it.
        assert_eq!(plan(any, announced, &[]), place("203.0.113.7"));
        assert_eq!(plan(any, &["203.0.113.8"], &[]), TurnPlace::default());
        // IPv6 has an address to relay from, IPv4 has none.
        let both = plan("--listen-ip 0.0.0.0 --listen-ip ::", &["203.0.113.8"], &["2001:db8::5"]);
        assert_eq!((both.listen_ips, both.relay_ips), (ips(&["::"]), ips(&["2001:db8::5"])));
        let named = announced_ips(&up("--listen-ip 127.0.0.1 --announced-ip localhost"));
        assert_eq!(named, ips(&["127.0.0.1"]), "the hosts file often has ::1 as well");
        // An address that is listened on needs no other.
        let one = plan("--listen-ip 192.0.2.1", &[], &["10.0.0.5"]);
        assert_eq!((one.listen_ips, one.relay_ips), (ips(&["192.0.2.1"]), Vec::new()));
    }

    #[test]
    fn turn_relays_to_the_engine_only() {
        let options = up("--listen-ip 192.0.2.1 --rtc-port 7000 --workers 8 --turn-port 3478");
        let place = TurnPlace { port: 3478, ..plan("--listen-ip 192.0.2.1", &[], &[]) };
        let arguments = turn_arguments(&options, &place, Format::Json);
        let arguments: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let allowed: Vec<_> =
            arguments.windows(2).filter(|pair| pair[0] == "--allow-peer").map(|pair| pair[1]).collect();
        assert_eq!(allowed, ["192.0.2.1:7000-7007"]);
        assert!(arguments.contains(&"--allowed-peers-only"));
    }

    #[test]
    fn an_address_that_turn_cannot_relay_from_is_named() {
        let check = |flags| check_relay_ips(&up(flags)).map_err(|error| error.to_string());
        assert_eq!(
            check("--listen-ip 0.0.0.0 --listen-ip :: --relay-ip 10.0.0.5 --relay-ip fd00::5"),
            Ok(())
        );
        for flags in [
            "--listen-ip 0.0.0.0 --relay-ip fd00::5",
            "--listen-ip 0.0.0.0 --relay-ip 0.0.0.0",
            "--listen-ip 0.0.0.0 --relay-ip 224.0.0.1",
            "--listen-ip 0.0.0.0 --relay-ip 10.0.0.5 --relay-ip 10.0.0.6",
        ] {
            assert!(check(flags).expect_err(flags).contains("--relay-ip"));
        }
    }

    #[test]
    fn restarts_come_at_once_and_then_back_off() {
        let now = Instant::now();
        let mut process = Supervised {
            name: "x",
            program: PathBuf::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            child: None,
            starts: 0,
            started: now,
            start_at: now,
            quick_deaths: 0,
        };
        let status = ExitStatus::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            process.plan_restart(&status);
            pauses.push(
                process.start_at.saturating_duration_since(Instant::now()).as_millis().div_ceil(100) * 100,
            );
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        process.started = now.checked_sub(QUICK).expect("the machine has been up that long");
        process.plan_restart(&status);
        assert!(process.start_at <= Instant::now(), "a long life is forgiven a death");
    }
}
