//! How a command ends (contract 1).
use std::process::ExitCode;

/// Why a command ended, by its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; for `serve` and `dev`, after a drained stop.
    Done,
    /// 2: the configuration or the input is wrong.
    Wrong,
    /// 3: the token would be refused (`explain`).
    Refused,
    /// 64: the command line is wrong.
    Usage,
    /// 69: something usher needs is unavailable or unfit.
    Unavailable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Wrong => 2,
            Exit::Refused => 3,
            Exit::Usage => 64,
            Exit::Unavailable => 69,
        })
    }
}
