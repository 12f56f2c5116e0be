//! Options for ports: a port for each worker, and ranges of ports that the workers share.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Two ports, the first not above the last, such as `10000-11999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// Not 0.
    pub first: u16,
    /// At least `first`.
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ports =
            text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        match ports {
            Some((first, last)) if 0 < first && first <= last => Ok(Self { first, last }),
            _ => Err("a range is two ports, such as 10000-11999"),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Ports that are too few for the workers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPorts {
    /// The last worker's port would be beyond 65535.
    #[error(
        "{option} {port} leaves no room for {workers} workers: the last needs port {last}, at most 65535 exists"
    )]
    Beyond {
        /// Which option.
        option: &'static str,
        /// As given.
        port: u16,
        /// How many workers.
        workers: usize,
        /// The port that the last worker would need.
        last: usize,
    },
    /// A worker would get no ports of a range.
    #[error("{option} {range} are too few for {workers} workers: each needs two at least")]
    TooFew {
        /// Which option.
        option: &'static str,
        /// As given.
        range: PortRange,
        /// How many workers.
        workers: usize,
    },
}

/// Checks that each worker has a port: `port` plus its number.
pub fn check_ports(option: &'static str, port: u16, workers: usize) -> Result<(), BadPorts> {
    let last = usize::from(port) + workers.saturating_sub(1);
    if last > usize::from(u16::MAX) {
        return Err(BadPorts::Beyond { option, port, workers, last });
    }
    Ok(())
}

/// Each worker's share of a range. All shares have the same, even length and begin at an even port.
pub fn port_shares(
    option: &'static str,
    range: PortRange,
    workers: usize,
) -> Result<Vec<RangeInclusive<u16>>, BadPorts> {
    let even = usize::from(range.first).next_multiple_of(2);
    let len = (usize::from(range.last) + 1).saturating_sub(even) / workers.max(1) / 2 * 2;
    if len == 0 {
        return Err(BadPorts::TooFew { option, range, workers });
    }
    let firsts = (0..workers).map(|worker| even + worker * len);
    Ok(firsts.map(|first| first as u16..=(first + len - 1) as u16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_range_of_two_ports_only() {
        assert_eq!("5000-5000".parse(), Ok(PortRange { first: 5000, last: 5000 }));
        assert_eq!("1-65535".parse(), Ok(PortRange { first: 1, last: 65_535 }));
        for malformed in ["5000", "5001-5000", "0-9", "a-b", "1-65536", "1-2-3"] {
            assert!(malformed.parse::<PortRange>().is_err(), "{malformed}");
        }
    }

    #[test]
    fn shares_have_the_same_even_length_and_begin_at_an_even_port() {
        let shares = |first, last, workers| port_shares("--x", PortRange { first, last }, workers);
        assert_eq!(shares(10_000, 11_999, 2), Ok(vec![10_000..=10_999, 11_000..=11_999]));
        assert_eq!(shares(5001, 5010, 2), Ok(vec![5002..=5005, 5006..=5009]));
        assert_eq!(shares(65_532, 65_535, 2), Ok(vec![65_532..=65_533, 65_534..=65_535]));
        let too_few = shares(5001, 5004, 2).expect_err("only two of the four ports can be used");
        assert_eq!(too_few.to_string(), "--x 5001-5004 are too few for 2 workers: each needs two at least");
    }

    #[test]
    fn refuses_a_port_that_leaves_the_last_worker_without_one() {
        assert_eq!(check_ports("--x", 65_534, 2), Ok(()));
        let beyond = check_ports("--x", 65_534, 3).expect_err("the third has none");
        assert!(beyond.to_string().contains("the last needs port 65536"), "{beyond}");
    }
}
