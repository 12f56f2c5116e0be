//! Why a process cannot start, or had to end.

use machine::Rng;
use std::io;

/// Why a process cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A UDP or TCP port or address cannot be bound.
    #[error(
        "worker {worker} cannot listen (its ports are {port_options} plus its number, its addresses --listen-ip)"
    )]
    Bind {
        /// Which worker.
        worker: usize,
        /// The options that set the ports of the first worker.
        port_options: &'static str,
        /// The cause.
        source: runtime::BindError,
    },
    /// The operating system's random generator failed.
    #[error("the system's random generator failed: {0}")]
    Randomness(getrandom::Error),
    /// A worker panicked, which is a bug. The supervisor starts the process again.
    #[error("worker {0} panicked; this is a bug")]
    Panicked(usize),
    /// A call that the operating system should never refuse.
    #[error("cannot {doing}")]
    System {
        /// The failed operation.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Turns an [`io::Error`] into the error of a call that the operating system should never refuse.
pub fn system(doing: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { doing, source }
}

/// A generator that the operating system's random generator has seeded.
pub fn rng() -> Result<Rng, StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Randomness)?;
    Ok(Rng::from_seed(seed))
}
