//! How a command ends (contract 1).
use std::process::ExitCode;

/// Why a command ended, by its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; for `serve` and `dev`, after a drained stop.
    Done,
    /// 1: the registry does not know it.
    NotFound,
    /// 2: the configuration or the input is wrong.
    Wrong,
    /// 3: the token would be refused (`explain`).
    Refused,
    /// 4: it goes against what the registry holds.
    Conflict,
    /// 64: the command line is wrong.
    Usage,
    /// 69: something usher needs is unavailable or unfit.
    Unavailable,
    /// 130: SIGINT or SIGTERM ended it before it was done, as a shell says of SIGINT.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::NotFound => 1,
            Exit::Wrong => 2,
            Exit::Refused => 3,
            Exit::Conflict => 4,
            Exit::Usage => 64,
            Exit::Unavailable => 69,
            Exit::Interrupted => 130,
        })
    }
}
