//! A stand-in for the next protocol version, for tests of two versions together (feature `next-protocol`).
//!
//! A process built with the feature is of the current version, unless [`VARIABLE`] is set. Then it adds
//! something of each kind that a new version can add: a field at the end of every record, a counter in every
//! section of the statistics page, and more words for that page.

use std::sync::LazyLock;

/// The environment variable that makes a process one of the next version: `1`, or the name of the program, for a
/// supervisor whose processes share an environment.
pub const VARIABLE: &str = "LEAT_NEXT_PROTOCOL";

/// The additional field, and the additional counter.
pub(crate) const VALUE: u64 = 0x6e65_7874;

/// Whether this process is of the next version.
pub(crate) fn is_next() -> bool {
    static IS_NEXT: LazyLock<bool> = LazyLock::new(|| {
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(std::path::Path::file_name);
        std::env::var_os(VARIABLE).is_some_and(|value| value == "1" || Some(value.as_os_str()) == program)
    });
    *IS_NEXT
}
