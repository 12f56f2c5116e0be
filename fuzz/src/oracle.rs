//! Calls the other implementation; if it panics, it has no result.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::known::{Conflict, Known};

/// The oracle's result for some bytes.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Valid, with this meaning.
    Accepted(T),
    /// Invalid.
    Refused(String),
    /// It panicked.
    Panicked,
}

thread_local! {
    /// Whether this thread is inside [`ask`]: a panic there is the oracle's and is not printed.
    static ASKING: Cell<bool> = const { Cell::new(false) };

    /// See [`explained`].
    static EXPLAINED: RefCell<BTreeSet<(Conflict, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Runs the oracle; a panic inside is a result, and silent.
pub fn ask<T, E: std::fmt::Display>(oracle: impl FnOnce() -> Result<T, E>) -> Verdict<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // libFuzzer's own hook ends the process at once, so ours must be installed before it.
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !ASKING.get() {
                outer(info);
            }
        }));
    });
    ASKING.set(true);
    let verdict = match panic::catch_unwind(AssertUnwindSafe(oracle)) {
        Ok(Ok(value)) => Verdict::Accepted(value),
        Ok(Err(error)) => Verdict::Refused(error.to_string()),
        Err(_) => Verdict::Panicked,
    };
    ASKING.set(false);
    verdict
}

/// Compares our reading of `input` with the oracle's: if both accept, `compare` decides whether they agree; a
/// conflict that [`Known`] does not list fails.
///
/// # Panics
/// On a conflict without an explanation.
pub fn hold_against<O, T>(
    what: &str,
    known: &[Known],
    input: &[u8],
    ours: Result<O, String>,
    verdict: Verdict<T>,
    compare: impl FnOnce(&O, &T) -> Result<(), String>,
) {
    let (conflict, detail) = match (&ours, &verdict) {
        (_, Verdict::Panicked) | (Err(_), Verdict::Refused(_)) => return,
        (Ok(ours), Verdict::Accepted(theirs)) => match compare(ours, theirs) {
            Ok(()) => return,
            Err(detail) => (Conflict::Differs, detail),
        },
        (Ok(_), Verdict::Refused(reason)) => (Conflict::OnlyWeAccept, reason.clone()),
        (Err(reason), Verdict::Accepted(_)) => (Conflict::OnlyTheyAccept, reason.clone()),
    };
    let explained = known.iter().find(|known| known.conflict == conflict && (known.applies)(input));
    let Some(known) = explained else {
        panic!("{what}: {conflict:?}: {detail}; not explained for {input:02x?}");
    };
    EXPLAINED.with_borrow_mut(|explained| explained.insert((conflict, known.reason)));
}

/// The entries of [`known`](crate::known) that have explained something on this thread: one that never does
/// is about a fixed fault.
pub fn explained() -> BTreeSet<(Conflict, &'static str)> {
    EXPLAINED.with_borrow(BTreeSet::clone)
}

/// Returns the difference, if any.
pub fn same<T: PartialEq + std::fmt::Debug>(field: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{field}: ours {ours:02x?}, theirs {theirs:02x?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_verdict() {
        let fallen: Verdict<()> = ask(|| -> Result<(), String> { panic!("not ours") });
        assert!(matches!(fallen, Verdict::Panicked));
        assert!(matches!(ask(|| Ok::<_, String>(1)), Verdict::Accepted(1)));
    }

    #[test]
    #[should_panic(expected = "not explained")]
    fn an_unexplained_conflict_fails() {
        hold_against("x", &[], &[1], Ok(1), Verdict::Accepted(2), |ours, theirs| same("n", ours, theirs));
    }

    #[test]
    fn an_explained_conflict_passes_for_the_inputs_it_is_about() {
        let known = Known {
            conflict: Conflict::OnlyTheyAccept,
            reason: "begins with 1",
            applies: |input| input[0] == 1,
        };
        let ours = || Err::<(), _>("no".to_owned());
        hold_against("x", &[known], &[1], ours(), Verdict::Accepted(()), |_, _| Ok(()));
    }
}
