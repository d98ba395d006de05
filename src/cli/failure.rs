//! Why a command was not done, its exit code, and how it is told: in words on stderr, or as a JSON object
//! there with `--json`.

use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::out::{Look, Out};
use super::views::Refusal;
use super::words;
use crate::config::{Problems, report};
use crate::kernel::error::Error;

/// Exit code of what was tried and failed.
pub const FAILED: u8 = 1;
/// Exit code of a refused command line or config.
pub const USAGE: u8 = 2;

/// Why a command was not done.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// The config was refused.
    Config(Problems),
    /// It was tried. The first line says what went wrong, further lines what to do.
    Failed(String),
    /// No server answered; it may have done what was asked, or be about to come back.
    Unreachable(String),
    /// The server said no.
    Refused(Box<Refusal>),
    /// Everything has been told already; only the exit code is left.
    Told(u8),
    /// Whoever read our output has gone; there is nothing to complain about.
    Gone,
}

impl Failure {
    /// Something was tried and went wrong.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Config(_) => ExitCode::from(USAGE),
            Self::Failed(_) | Self::Unreachable(_) | Self::Refused(_) => ExitCode::from(FAILED),
            Self::Told(code) => ExitCode::from(*code),
            Self::Gone => ExitCode::SUCCESS,
        }
    }

    /// Says on stderr what went wrong.
    pub fn tell(&self, out: &Out) {
        if out.json {
            if let Some(document) = self.document() {
                out.note(format_args!("{document:#}"));
            }
            return;
        }
        match self {
            Self::Config(problems) => {
                for problem in &problems.0 {
                    out.note(format_args!(
                        "{} {}",
                        out.err.paint(Look::Bad, "error:"),
                        words::lines(&problem.to_string())
                    ));
                }
                let count = match problems.0.len() {
                    1 => "the config was refused: 1 problem".to_owned(),
                    many => format!("the config was refused: {many} problems"),
                };
                out.note(count);
            }
            Self::Usage(what) => {
                let hint = "For more information, try '--help'.";
                out.note(format_args!(
                    "{} {}\n\n{hint}",
                    out.err.paint(Look::Bad, "error:"),
                    words::lines(what)
                ));
            }
            Self::Failed(what) | Self::Unreachable(what) => {
                out.note(format_args!("{} {}", out.err.paint(Look::Bad, "error:"), words::lines(what)));
            }
            Self::Refused(refusal) => {
                let text = refusal.text();
                out.note(format_args!("{} {}", out.err.paint(Look::Bad, "error:"), words::lines(&text)));
            }
            Self::Told(_) | Self::Gone => {}
        }
    }

    fn document(&self) -> Option<Value> {
        let of = |code: &str, detail: &str| Some(json!({ "code": code, "detail": detail }));
        match self {
            Self::Usage(what) => of("usage", what),
            Self::Failed(what) => of("failed", what),
            Self::Unreachable(what) => of("unreachable", what),
            Self::Config(problems) => Some(json!(report::check(Err(problems)))),
            Self::Refused(refusal) => Some(refusal.raw.clone()),
            Self::Told(_) | Self::Gone => None,
        }
    }
}

impl From<io::Error> for Failure {
    /// Writing the answer failed.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Failed(format!("cannot write the answer: {error}")),
        }
    }
}

impl From<Error> for Failure {
    /// Work of this very process failed: its operator may read the cause, too.
    fn from(error: Error) -> Self {
        match error.cause() {
            Some(cause) => Self::Failed(format!("{error}\n{cause}")),
            None => Self::Failed(error.to_string()),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}
