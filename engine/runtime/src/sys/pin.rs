//! Pinning a worker's thread to a core.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins the calling thread to the `index`-th core that this process may use (counted from 0, wrapping
/// around), and returns the number of that core. `None`, after a log line, if the system refuses: a worker
/// also runs unpinned, with less even latency.
pub fn pin_to_core(index: usize) -> Option<usize> {
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let core = cores.cycle().nth(index % allowed.count().max(1) as usize).unwrap_or(0);
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).map(|()| core)
    });
    match pinned {
        Ok(core) => Some(core),
        Err(errno) => {
            tracing::warn!(worker = index, error = %errno, "worker runs unpinned: setting the core failed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_use_only_that_core() {
        std::thread::spawn(|| {
            let core = pin_to_core(1).expect("a core");
            let allowed = sched_getaffinity(None).expect("our affinity");
            assert_eq!((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect::<Vec<_>>(), [core]);
            assert_eq!(pin_to_core(5), Some(core), "only one core is left to choose from");
        })
        .join()
        .expect("the thread");
    }
}
