//! Counts the work of a call, for tests that check it against a bound: each loop over input that a peer chose
//! charges its steps here.
//!
//! A step is about one instruction. Counted per thread, and only in builds with debug assertions.
//! `tests/work` calibrates the steps by counting instructions.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Charges `steps` for each of `times` iterations of a loop.
pub fn charge(times: usize, steps: u64) {
    if cfg!(debug_assertions) {
        STEPS.set(STEPS.get() + times as u64 * steps);
    }
}

/// Runs a part with a separate bound, in steps, which does not count towards the call's steps. Panics beyond
/// the bound.
pub fn apart<T>(bound: u64, act: impl FnOnce() -> T) -> T {
    let before = STEPS.get();
    let result = act();
    if cfg!(debug_assertions) {
        let steps = STEPS.replace(before) - before;
        assert!(steps <= bound, "{steps} steps, of {bound} at most");
    }
    result
}

/// The steps charged on this thread since the last call.
pub fn take() -> u64 {
    STEPS.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_add_up_until_they_are_taken() {
        let _ = take();
        charge(3, 10);
        charge(1, 5);
        assert_eq!(take(), if cfg!(debug_assertions) { 35 } else { 0 });
        assert_eq!(take(), 0);
        charge(1, 7);
        assert_eq!(apart(5, || charge(1, 5)), ());
        assert_eq!(take(), if cfg!(debug_assertions) { 7 } else { 0 });
    }
}
