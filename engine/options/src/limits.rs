//! Every bound of this crate.

/// Bytes of a configuration file. A longer one is refused, because it is not such a file.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
