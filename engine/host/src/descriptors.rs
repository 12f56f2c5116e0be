//! The limit of open file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of this process to `wanted` descriptors, or to the hard limit. Systems allow 1024 by
/// default, and more on request. If the limit stays too low, the log names what is `limited`.
pub fn raise_descriptor_limit(wanted: usize, limited: &str) {
    let wanted = wanted as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let granted = wanted.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < granted) {
        // Only a sandbox refuses it. Then the old limit stays, and callers handle a failed open.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum });
    }
    if granted < wanted {
        tracing::info!(
            granted,
            wanted,
            "{limited} limited by the number of file descriptors of this process"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_the_limit_as_far_as_the_system_allows_and_never_lowers_it() {
        let before = getrlimit(Resource::Nofile);
        raise_descriptor_limit(1, "tests are");
        assert_eq!(getrlimit(Resource::Nofile), before);
        raise_descriptor_limit(usize::MAX, "tests are");
        let after = getrlimit(Resource::Nofile);
        assert!(after.current == before.maximum || after == before, "{before:?} {after:?}");
    }
}
