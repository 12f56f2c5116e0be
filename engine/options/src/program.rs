//! The programs with options.

/// A set of options: those of a server, or those that several commands of `leat` have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsOf {
    /// `leat up`, which starts the three servers.
    Up,
    /// `leat-signaling`.
    Signaling,
    /// `leat-engine`.
    Engine,
    /// `leat-turn`.
    Turn,
    /// The other commands of `leat`.
    Commands,
}

impl OptionsOf {
    /// All.
    pub const ALL: [Self; 5] = [Self::Up, Self::Signaling, Self::Engine, Self::Turn, Self::Commands];

    /// The table in the configuration file with keys for this program only.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Signaling => "signaling",
            Self::Engine => "engine",
            Self::Turn => "turn",
            Self::Commands => "commands",
        }
    }

    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "leat up",
            Self::Signaling => "leat-signaling",
            Self::Engine => "leat-engine",
            Self::Turn => "leat-turn",
            Self::Commands => "other commands of leat",
        }
    }

    /// The program with this section.
    pub fn of_section(section: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.section() == section)
    }
}
