//! Asking the other implementation, which may panic: then it has no opinion.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::known::{Conflict, Known};

/// What the oracle says of some bytes.
#[derive(Debug)]
pub enum Verdict<T> {
    /// They mean this.
    Accepted(T),
    /// They mean nothing.
    Refused(String),
    /// It fell over them.
    Panicked,
}

thread_local! {
    /// Whether this thread is inside [`ask`]: a panic there is not ours and is not printed.
    static ASKING: Cell<bool> = const { Cell::new(false) };

    /// See [`explained`].
    static EXPLAINED: RefCell<BTreeSet<(Conflict, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Runs the oracle; a panic inside is a verdict, and silent.
pub fn ask<T, E: std::fmt::Display>(oracle: impl FnOnce() -> Result<T, E>) -> Verdict<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // libFuzzer's own hook ends the process at once, so ours must stand before it.
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

/// Holds our reading of `input` against the oracle's: where both accept, `compare` says whether they mean
/// the same; a conflict that [`Known`] does not list fails.
///
/// # Panics
/// On a conflict nobody has explained.
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
        panic!("{what}: {conflict:?}: {detail}; nobody has explained this for {input:02x?}");
    };
    EXPLAINED.with_borrow_mut(|explained| explained.insert((conflict, known.reason)));
}

/// Which entries of [`known`](crate::known) have explained something on this thread: one that never does is about a fault that is
/// no more.
pub fn explained() -> BTreeSet<(Conflict, &'static str)> {
    EXPLAINED.with_borrow(BTreeSet::clone)
}

/// Says what differs, if anything does.
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
    #[should_panic(expected = "nobody has explained")]
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
