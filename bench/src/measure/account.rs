//! The CPU and memory use of a process and its children, from the kernel.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Use of CPU and memory by some processes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// Time on a CPU, exact.
    pub cpu: Duration,
    /// Of that, in user space, in ticks of the kernel's clock: sampled.
    user_ticks: u64,
    /// In the kernel, likewise.
    system_ticks: u64,
    /// Resident memory, bytes.
    pub rss: u64,
}

impl Account {
    /// Of the process `root` and all its descendants, now. Ended processes are not included.
    pub fn of(root: u32) -> Self {
        Self::sum(&family(root))
    }

    /// Of this process alone: its children are measured separately.
    pub fn own() -> Self {
        Self::sum(&[std::process::id()])
    }

    fn sum(pids: &[u32]) -> Self {
        let mut sum = Self::default();
        for pid in pids.iter().copied() {
            let Some((user, system)) = ticks(pid) else { continue };
            sum.user_ticks += user;
            sum.system_ticks += system;
            sum.cpu += Duration::from_nanos(run_time(pid));
            sum.rss += resident(pid);
        }
        sum
    }

    /// The use since `before`: in user space and in the kernel. The sum is exact, divided by the kernel's
    /// samples.
    pub fn since(&self, before: &Self) -> (Duration, Duration) {
        let cpu = self.cpu.saturating_sub(before.cpu);
        let user = self.user_ticks.saturating_sub(before.user_ticks);
        let system = self.system_ticks.saturating_sub(before.system_ticks);
        let part = if user + system == 0 { 0.0 } else { user as f64 / (user + system) as f64 };
        let user = cpu.mul_f64(part);
        (user, cpu.saturating_sub(user))
    }
}

/// A process and its descendants at one moment, to find out later which have ended.
#[derive(Clone, Debug)]
pub struct Family(Vec<Process>);

#[derive(Clone, Debug)]
struct Process {
    pid: u32,
    name: String,
    /// Distinguishes it from a later process of the same number, in ticks of the kernel's clock since boot.
    started: u64,
}

impl Family {
    /// As it is now.
    pub fn of(root: u32) -> Self {
        Self(family(root).into_iter().filter_map(Process::of).collect())
    }

    /// Those that have ended, each as "leat-engine (1234)".
    pub fn ended(&self) -> Vec<String> {
        let ended = self.0.iter().filter(|member| !member.runs());
        ended.map(|member| format!("{} ({})", member.name, member.pid)).collect()
    }
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned();
        Some(Self { pid, name, started: running_since(pid)? })
    }

    fn runs(&self) -> bool {
        running_since(self.pid) == Some(self.started)
    }
}

/// Field 22; `None` for a process that has ended, also if its parent has not read its status yet.
fn running_since(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    let has_ended = matches!(fields.first()?.as_str(), "Z" | "X");
    if has_ended { None } else { fields.get(19)?.parse().ok() }
}

/// A process and its descendants.
fn family(root: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> =
        pids.filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?))).collect();
    let mut family = vec![root];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(pid, of)| *of == parent && *pid != root).map(|(pid, _)| *pid));
        at += 1;
    }
    family
}

/// `/proc/PID/stat` from the state on: the fields before may contain blanks (proc_pid_stat(5)).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Fields 14 and 15, of which field 3 is the first here.
fn ticks(pid: u32) -> Option<(u64, u64)> {
    let fields = stat(pid)?;
    Some((fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?))
}

/// Nanoseconds that its threads have run (proc_pid_schedstat(5)).
fn run_time(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| first_number(&task.path().join("schedstat"))).sum()
}

fn resident(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size()
}

fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as u64)
}

fn first_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

/// CPU time of this thread.
pub fn thread_time() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_use_of_this_process_is_counted() {
        let before = Account::of(std::process::id());
        let start = thread_time();
        let mut sum = 0u64;
        while thread_time() - start < Duration::from_millis(50) {
            sum = std::hint::black_box(sum + 1);
        }
        let after = Account::of(std::process::id());
        let (user, system) = after.since(&before);
        assert!(user + system >= Duration::from_millis(49), "{user:?} {system:?}");
        assert!(after.rss > 1 << 20, "{}", after.rss);
    }

    #[test]
    fn an_ended_process_is_detected_before_its_parent_reads_its_status() {
        let mut child = Command::new("sleep").arg("300").stdin(Stdio::null()).spawn().unwrap();
        let family = Family::of(child.id());
        assert_eq!(family.ended(), [""; 0]);
        child.kill().unwrap();
        // Not waited for: it stays as a zombie.
        while running_since(child.id()).is_some() {
            std::thread::yield_now();
        }
        // Before it ran another program, it had the name of this one.
        let [ended] = &family.ended()[..] else { panic!("{:?}", family.ended()) };
        assert!(ended.ends_with(&format!("({})", child.id())), "{ended}");
        child.wait().unwrap();
        assert_eq!(family.ended().len(), 1);
    }

    #[test]
    fn children_are_included() {
        let mut child = Command::new("sleep").arg("30").stdin(Stdio::null()).spawn().unwrap();
        let family = family(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&child.id()), "{family:?}");
        assert_eq!(Account::of(u32::MAX).rss, 0, "no such process");
    }
}
