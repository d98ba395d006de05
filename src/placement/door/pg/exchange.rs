//! One statement in one transaction, as messages.
//!
//! ```text
//! BEGIN · set_config(statement_timeout) · Parse · Bind · Describe · Execute · Sync · COMMIT · DISCARD ALL
//! ```
//! all in one go, or with a pause after Parse and Describe when there are parameters. A failure skips
//! to Sync, and COMMIT of a failed transaction rolls back.
//!
//! For a reader it is BEGIN READ ONLY and ROLLBACK. The call of `set_config` before the tenant's
//! statement takes the transaction's first snapshot: from then on PostgreSQL refuses to make it
//! read-write, by whatever means. What a read-only transaction lets pass all the same (large objects
//! before version 16, notifications) is rolled back.

use std::io;
use std::time::Instant;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::Trouble;
use super::catalog::Catalog;
use super::fault::{self, Fault};
use super::wire::{Frame, Wire};
use crate::kernel::error::{Error, Result};
use crate::placement::door::timed_out;
use crate::placement::door::{Access, Answer, Caps, Column, Row, Statement, cell, param};

/// Statements of ours before the tenant's.
const LEAD: usize = 2;
/// The least that is read past the cap before a read is cut off rather than drained.
const DRAIN_BYTES: usize = 1 << 20;

struct Field {
    name: String,
    oid: u32,
}

/// Where reading stopped.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// The statement's parameters and columns are known, or it has failed.
    Described,
    /// The server waits for the next message, with the transaction in this state.
    Ready(u8),
    /// More rows than anyone will read are still coming.
    CutOff,
}

/// A transaction under way, and what has come of it so far.
pub(super) struct Exchange {
    access: Access,
    caps: Caps,
    started: Instant,
    /// Whether the server has said anything yet.
    silent: bool,
    executed: bool,
    completed: usize,
    params: Vec<u32>,
    columns: Option<Vec<Field>>,
    rows: Vec<DataRowBody>,
    row_bytes: usize,
    drained: usize,
    truncated: bool,
    tag: String,
    fault: Option<Fault>,
    ended_well: bool,
}

impl Exchange {
    pub(super) fn new(access: Access, caps: Caps) -> Self {
        Self {
            access,
            caps,
            started: Instant::now(),
            silent: true,
            executed: false,
            completed: 0,
            params: Vec::new(),
            columns: None,
            rows: Vec::new(),
            row_bytes: 0,
            drained: 0,
            truncated: false,
            tag: String::new(),
            fault: None,
            ended_well: false,
        }
    }

    /// Whether the transaction ended as such: the session is as before.
    pub(super) fn ended_well(&self) -> bool {
        self.ended_well
    }

    /// The types of the columns.
    pub(super) fn oids(&self) -> Vec<u32> {
        self.columns.iter().flatten().map(|field| field.oid).collect()
    }

    /// Runs the transaction to its end; the cleaning is sent but not read.
    pub(super) async fn run(
        &mut self,
        wire: &mut Wire,
        catalog: &mut Catalog,
        statement: &Statement,
    ) -> Result<(), Trouble> {
        let mut refused = None;
        self.open(&mut wire.outbox, &statement.sql).map_err(|error| self.lost(&error))?;
        if statement.params.is_empty() {
            self.execute(&mut wire.outbox, &[]).map_err(|error| self.lost(&error))?;
        } else {
            frontend::describe(b'S', "", &mut wire.outbox).map_err(|error| self.lost(&error))?;
            frontend::flush(&mut wire.outbox);
            wire.send().await.map_err(|error| self.lost(&error))?;
            self.collect(wire, true).await?;
            if self.fault.is_none() {
                catalog.learn(wire, &self.params, false, 0).await.map_err(|error| self.lost(&error))?;
                let types: Vec<_> = self.params.iter().map(|oid| catalog.get(*oid)).collect();
                match param::texts(&statement.params, &types) {
                    Ok(values) => {
                        self.execute(&mut wire.outbox, &values).map_err(|error| self.lost(&error))?
                    }
                    Err(error) => refused = Some(error),
                }
            }
        }
        self.finish(&mut wire.outbox).map_err(|error| self.lost(&error))?;
        wire.send().await.map_err(|error| self.lost(&error))?;
        let state = match self.collect(wire, false).await? {
            Stop::Ready(state) => state,
            Stop::CutOff | Stop::Described => return Ok(()),
        };
        // `T`: in a transaction; `E`: in a failed one. Anything else means that the statement ended it.
        let expected = if self.fault.is_some() { b'E' } else { b'T' };
        let lead_done = self.completed >= LEAD;
        let ended = self.end(wire).await?;
        self.ended_well = state == expected && ended.is_some() && lead_done;
        if let Some(error) = refused {
            return Err(Trouble::Told(error));
        }
        if let Some(fault) = self.fault.take() {
            return Err(Trouble::Told(self.told(fault, lead_done)));
        }
        match ended {
            Some(true) if state == expected => Ok(()),
            _ => Err(Trouble::Told(Error::refused(
                "statement_not_allowed",
                "the statement interfered with its own transaction",
            ))),
        }
    }

    /// The answer, once the types of all columns are known.
    pub(super) fn answer(self, catalog: &Catalog) -> Result<Answer> {
        let (mut columns, mut shapes) = (Vec::new(), Vec::new());
        let affected = self.tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        let returns_rows = self.columns.is_some();
        for field in self.columns.into_iter().flatten() {
            let kind = catalog.get(field.oid);
            columns.push(Column { name: field.name, type_name: kind.name });
            shapes.push(kind.shape);
        }
        let mut truncated = self.truncated;
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut used = 0usize;
        for body in &self.rows {
            let mut json = Vec::with_capacity(body.buffer().len().saturating_add(16));
            let mut ranges = body.ranges();
            let mut shapes = shapes.iter();
            json.push(b'[');
            while let Some(range) = ranges.next().map_err(Error::internal)? {
                if json.len() > 1 {
                    json.push(b',');
                }
                let value = range.and_then(|range| body.buffer().get(range));
                match (value, shapes.next()) {
                    (Some(value), Some(shape)) => {
                        cell::write(&mut json, shape, &String::from_utf8_lossy(value))
                    }
                    _ => json.extend_from_slice(b"null"),
                }
            }
            json.push(b']');
            used = used.saturating_add(json.len());
            if used > self.caps.bytes {
                truncated = true;
                break;
            }
            rows.push(Row::from_json(json)?);
        }
        let row_count = if returns_rows { u64::try_from(rows.len()).unwrap_or(u64::MAX) } else { affected };
        Ok(Answer { columns, rows, row_count, truncated })
    }

    fn open(&self, out: &mut BytesMut, sql: &str) -> io::Result<()> {
        out.clear();
        let begin = match self.access {
            Access::Read => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
            Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        let timeout = self.caps.timeout.as_millis().max(1);
        let guard = format!("SELECT pg_catalog.set_config('statement_timeout', '{timeout}', true)");
        for sql in [begin, guard.as_str()] {
            frontend::parse("", sql, [], out)?;
            super::bind("", "", [], out)?;
            frontend::execute("", 0, out)?;
        }
        frontend::parse("", sql, [], out)
    }

    fn execute(&mut self, out: &mut BytesMut, values: &[Option<String>]) -> io::Result<()> {
        self.executed = true;
        super::bind("", "", values.iter().map(Option::as_deref), out)?;
        if values.is_empty() {
            frontend::describe(b'P', "", out)?;
        }
        // A read stops at the cap. A write runs to its end: half of it would be neither done nor undone.
        let limit = match self.access {
            Access::Read => i32::try_from(self.caps.rows.saturating_add(1)).unwrap_or(i32::MAX),
            Access::Write => 0,
        };
        frontend::execute("", limit, out)
    }

    fn last_word(&self) -> &'static str {
        match self.access {
            Access::Read => "ROLLBACK",
            Access::Write => "COMMIT",
        }
    }

    fn finish(&self, out: &mut BytesMut) -> io::Result<()> {
        frontend::sync(out);
        frontend::query(self.last_word(), out)?;
        frontend::query("DISCARD ALL", out)
    }

    /// Reads until the server is ready again; with `describing`, until the statement is described.
    async fn collect(&mut self, wire: &mut Wire, describing: bool) -> Result<Stop, Trouble> {
        loop {
            let frame = wire.next(self.row_limit()).await.map_err(|error| self.lost(&error))?;
            let message = match frame {
                Frame::Message(message) => message,
                Frame::Oversize(total) => {
                    self.silent = false;
                    self.truncated = true;
                    self.drained = self.drained.saturating_add(total);
                    if self.access == Access::Read && self.drained > self.caps.bytes.max(DRAIN_BYTES) {
                        return Ok(Stop::CutOff);
                    }
                    wire.skip(total).await.map_err(|error| self.lost(&error))?;
                    continue;
                }
                Frame::Fault(fault) if fault.is_fatal() => {
                    return Err(Trouble::Lost { cause: fault.line(), untouched: self.silent });
                }
                Frame::Fault(fault) => {
                    self.silent = false;
                    self.fault.get_or_insert(*fault);
                    if describing {
                        return Ok(Stop::Described);
                    }
                    continue;
                }
            };
            self.silent = false;
            match message {
                Message::DataRow(row) if self.completed >= LEAD => self.keep(row),
                Message::CommandComplete(body) => {
                    self.completed = self.completed.saturating_add(1);
                    self.tag = body.tag().map_err(|error| self.lost(&error))?.to_owned();
                }
                Message::ParameterDescription(body) => {
                    self.params = body.parameters().collect().map_err(|error| self.lost(&error))?;
                }
                Message::RowDescription(body) => {
                    let fields = body
                        .fields()
                        .map(|field| Ok(Field { name: field.name().to_owned(), oid: field.type_oid() }))
                        .collect();
                    self.columns = Some(fields.map_err(|error| self.lost(&error))?);
                    if describing {
                        return Ok(Stop::Described);
                    }
                }
                Message::NoData if describing => return Ok(Stop::Described),
                Message::ReadyForQuery(body) => return Ok(Stop::Ready(body.status())),
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    return Err(Trouble::Told(Error::refused(
                        "statement_not_allowed",
                        "COPY is not run here: send rows with INSERT and read them with SELECT",
                    )));
                }
                _ => {}
            }
        }
    }

    fn keep(&mut self, row: DataRowBody) {
        if self.rows.len() >= self.caps.rows {
            self.truncated = true;
            return;
        }
        self.row_bytes = self.row_bytes.saturating_add(row.buffer().len());
        self.rows.push(row);
    }

    /// How long a row may be. Text form is at most about twice as long as JSON (bytes: hex against
    /// base64); the exact cap is applied to the JSON.
    fn row_limit(&self) -> usize {
        if self.completed < LEAD {
            return DRAIN_BYTES;
        }
        if self.truncated {
            return 0;
        }
        self.caps.bytes.saturating_mul(2).saturating_add(4096).saturating_sub(self.row_bytes)
    }

    /// Reads the answer to our last word: whether the transaction ended so, `None` when the session is in no
    /// known state.
    async fn end(&mut self, wire: &mut Wire) -> Result<Option<bool>, Trouble> {
        let mut as_told = false;
        loop {
            match wire.next(0).await.map_err(|error| self.lost(&error))? {
                Frame::Message(Message::CommandComplete(body)) => {
                    as_told = body.tag().is_ok_and(|tag| tag == self.last_word());
                }
                Frame::Message(Message::ReadyForQuery(body)) => {
                    return Ok((body.status() == b'I').then_some(as_told));
                }
                Frame::Fault(fault) if fault.is_fatal() => {
                    return Err(Trouble::Lost { cause: fault.line(), untouched: false });
                }
                Frame::Fault(fault) => {
                    self.fault.get_or_insert(*fault);
                }
                Frame::Message(_) | Frame::Oversize(_) => return Ok(None),
            }
        }
    }

    fn told(&self, fault: Fault, lead_done: bool) -> Error {
        if fault.is_cancelled()
            && self.started.elapsed().saturating_mul(10) >= self.caps.timeout.saturating_mul(9)
        {
            return timed_out(self.caps.timeout);
        }
        if !lead_done {
            return fault::unreachable(fault.line());
        }
        match fault.wanted_params() {
            Some(wanted) if self.params.is_empty() => param::wrong_count(wanted, 0),
            _ => fault.into_error(),
        }
    }

    fn lost(&self, error: &io::Error) -> Trouble {
        // A read may be repeated; a write only if it cannot have been carried out.
        let untouched = self.silent && (self.access == Access::Read || !self.executed);
        Trouble::Lost { cause: error.to_string(), untouched }
    }
}
