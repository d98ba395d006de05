//! The only door to stdout and stderr. Answers go to stdout, everything about them (progress, hints,
//! failures) to stderr, so that a pipe gets answers alone.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

use super::Outcome;
use crate::config::Environment;

/// How a word looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// Of lesser importance.
    Faint,
    /// As it should be.
    Good,
    /// Not there yet, or stopped on purpose.
    Waiting,
    /// In need of a person.
    Bad,
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// Leaves text as it is.
    pub const NONE: Self = Self(false);

    /// `text` with the escapes of its look, if there are colours.
    #[must_use]
    pub fn paint(self, look: Look, text: &str) -> String {
        let style = match look {
            Look::Plain => Style::new(),
            Look::Strong => Style::new().bold(),
            Look::Faint => Style::new().dimmed(),
            Look::Good => AnsiColor::Green.on_default(),
            Look::Waiting => AnsiColor::Yellow.on_default(),
            Look::Bad => AnsiColor::Red.on_default(),
        };
        if self.0 && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// How a state's word looks, whatever it is the state of.
#[must_use]
pub fn look_of(state: &str) -> Look {
    match state {
        "active" | "succeeded" | "good" | "yes" => Look::Good,
        "provisioning" | "pending" | "running" | "suspended" | "deleting" | "disabled" | "no" => {
            Look::Waiting
        }
        "failed" => Look::Bad,
        "deleted" | "revoked" | "expired" => Look::Faint,
        _ => Look::Plain,
    }
}

/// Where answers go, and in which manner.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// Answers are JSON.
    pub json: bool,
    /// Colours on stdout.
    pub out: Paint,
    /// Colours on stderr.
    pub err: Paint,
    /// Lines on stderr can be redrawn.
    pub live: bool,
    /// Somebody is there to be asked.
    pub asks: bool,
}

impl Out {
    /// The process's own: colours only on a terminal that knows them, and never with `NO_COLOR`.
    #[must_use]
    pub fn of_process(json: bool, env: &Environment) -> Self {
        let text = |name: &str| env.get(name).and_then(Option::as_deref).unwrap_or_default();
        let able = text("TERM") != "dumb";
        let coloured = able && env.get("NO_COLOR").is_none_or(|value| value.as_deref() == Some(""));
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json,
            out: Paint(coloured && out && !json),
            err: Paint(coloured && err && !json),
            live: able && err && !json,
            asks: io::stdin().is_terminal() && err,
        }
    }

    /// Writes a line of the answer.
    ///
    /// # Errors
    /// [`super::Failure::Gone`] when nobody reads any more; the write's own.
    pub fn say(&self, text: impl Display) -> Outcome {
        let mut to = io::stdout().lock();
        writeln!(to, "{text}")?;
        Ok(to.flush()?)
    }

    /// Writes a part of the answer as it is.
    ///
    /// # Errors
    /// As [`Out::say`].
    pub fn pass(&self, part: &[u8]) -> Outcome {
        let mut to = io::stdout().lock();
        to.write_all(part)?;
        Ok(to.flush()?)
    }

    /// Writes the answer as JSON.
    ///
    /// # Errors
    /// As [`Out::say`].
    pub fn document(&self, value: &Value) -> Outcome {
        self.say(format_args!("{value:#}"))
    }

    /// Writes a line about the answer. What nobody reads is no failure.
    pub fn note(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes to stderr as it is, for lines that are redrawn.
    pub fn draw(&self, text: &str) {
        let mut to = io::stderr().lock();
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }

    /// Asks on stderr and reads a line; `None` when there is none.
    #[must_use]
    pub fn ask(&self, question: &str) -> Option<String> {
        self.draw(question);
        let mut line = String::new();
        io::stdin().read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim().to_owned())
    }
}
