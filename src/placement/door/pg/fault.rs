//! What PostgreSQL reports when it cannot do as told, and what that means to a caller.

use crate::kernel::error::{Error, SqlProblem};
use crate::placement::door::gate;

/// Longest text of a report that is passed on, in characters.
const TEXT_CHARS: usize = 2_000;

/// The fields of an error, as PostgreSQL sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fault {
    severity: String,
    pub(super) sqlstate: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<u32>,
    constraint: Option<String>,
    /// The function of the server that reported it; unlike the message never translated.
    routine: String,
}

impl Fault {
    /// Reads the fields, as far as they go: the last may have been cut.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut fault = Self::default();
        for field in body.split(|&b| b == 0) {
            let Some((&kind, text)) = field.split_first() else { break };
            let text: String = String::from_utf8_lossy(text).chars().take(TEXT_CHARS).collect();
            match kind {
                b'V' => fault.severity = text,
                b'S' if fault.severity.is_empty() => fault.severity = text,
                b'C' => fault.sqlstate = text,
                b'M' => fault.message = text,
                b'D' => fault.detail = Some(text),
                b'H' => fault.hint = Some(text),
                b'P' => fault.position = text.parse().ok(),
                b'n' => fault.constraint = Some(text),
                b'R' => fault.routine = text,
                _ => {}
            }
        }
        fault
    }

    /// Whether the connection ends with this report.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }

    /// Whether the statement was stopped from outside: its time was up, or someone cancelled it.
    pub(super) fn is_cancelled(&self) -> bool {
        self.sqlstate == "57014"
    }

    /// How many parameters the statement takes, when this reports that none were given.
    pub(super) fn wanted_params(&self) -> Option<usize> {
        if self.sqlstate != "08P01" || self.routine != "exec_bind_message" {
            return None;
        }
        // The message is translated, but the number stays its last.
        let digits = self.message.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
        Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or(1))
    }

    /// For the log.
    pub(super) fn line(&self) -> String {
        format!("{} {}: {}", self.severity, self.sqlstate, self.message)
    }

    /// What a caller reads when a statement failed.
    pub(super) fn into_error(self) -> Error {
        if self.sqlstate == "42601" && self.routine == "exec_parse_message" {
            return gate::several();
        }
        let hint = match self.sqlstate.as_str() {
            "25006" if self.hint.is_none() => Some("this caller may only read this tenant's data".to_owned()),
            _ => self.hint,
        };
        Error::Sql(Box::new(SqlProblem {
            sqlstate: self.sqlstate,
            message: self.message,
            detail: self.detail,
            hint,
            position: self.position,
            constraint: self.constraint,
        }))
    }

    /// What a caller reads when no connection came about, or it was ended by the server.
    pub(super) fn into_refusal(self) -> Error {
        let cause = self.line();
        match self.sqlstate.as_str() {
            "28P01" | "28000" => Error::unavailable(
                "database_credentials_refused",
                "the tenant's database did not accept the stored credentials; retry shortly",
                cause,
            ),
            "53300" => Error::unavailable(
                "database_busy",
                "the tenant's database has no free connection; retry shortly",
                cause,
            ),
            _ => unreachable(cause),
        }
    }
}

/// That the tenant's database cannot be reached at present.
pub(crate) fn unreachable(cause: impl std::fmt::Display) -> Error {
    Error::unavailable("database_unavailable", "the tenant's database is not reachable; retry shortly", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_far_as_they_go() {
        let fault = Fault::read(b"SERREUR\0VERROR\0C23505\0Mtaken\0DKey (a)=(1)\0nnotes_pkey\0P7\0Hcut o");
        assert_eq!(fault.severity, "ERROR");
        assert!(!fault.is_fatal());
        let Error::Sql(problem) = fault.into_error() else { panic!() };
        assert_eq!((problem.sqlstate.as_str(), problem.position), ("23505", Some(7)));
        assert_eq!(problem.constraint.as_deref(), Some("notes_pkey"));
        assert_eq!(problem.hint.as_deref(), Some("cut o"));
        assert_eq!(Fault::read(b"\0\0").message, "");
    }

    #[test]
    fn stacked_statements_are_told_from_other_syntax_errors() {
        let stacked = Fault::read(b"C42601\0Rexec_parse_message\0").into_error();
        assert!(matches!(stacked, Error::Refused { code: "multiple_statements", .. }));
        assert!(matches!(Fault::read(b"C42601\0Rscanner_yyerror\0").into_error(), Error::Sql(_)));
    }
}
