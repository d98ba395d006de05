//! One statement in one transaction, on the calling thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::Value;
use rusqlite::{Batch, Connection};

use super::open::Link;
use super::value::{self, Declared};
use super::{fault, memory, rules};
use crate::kernel::error::{Error, Result};
use crate::placement::door::{Access, Answer, Caps, Column, Row, Statement, gate, param, timed_out};

/// Steps of SQLite's machine between two looks at the clock, the stop button and the memory. One step may
/// make a value of some MiB, so that a thousand of them would be too far apart.
const STEPS: i32 = 50;

impl Link {
    /// Runs one statement; ends early when `stop` is set or the time is up. Blocks.
    pub(crate) fn run(
        &mut self,
        statement: &Statement,
        access: Access,
        caps: Caps,
        stop: Arc<AtomicBool>,
    ) -> Result<Answer> {
        let deadline = Instant::now().checked_add(caps.timeout);
        let late = move |now| stop.load(Ordering::Relaxed) || deadline.is_some_and(|end| now >= end);
        let (is_late, starved) = (late.clone(), Arc::new(AtomicBool::new(false)));
        let (mut memory, starving) = (memory::Watch::new(caps.memory_bytes), Arc::clone(&starved));
        let over = move || {
            let now = Instant::now();
            if memory.is_over(now) {
                starving.store(true, Ordering::Relaxed);
            }
            starving.load(Ordering::Relaxed) || late(now)
        };
        self.unclean = true;
        self.limit(caps)?;
        let out =
            self.db.busy_timeout(caps.timeout).and_then(|()| self.db.progress_handler(STEPS, Some(over)));
        let out = out
            .map_err(|error| fault::told(error, caps, false))
            .and_then(|()| self.transact(statement, access, caps));
        let cleared = self.db.progress_handler(0, None::<fn() -> bool>);
        self.unclean = cleared.is_err() || !self.db.is_autocommit();
        match out {
            Err(Error::Sql(problem)) if problem.sqlstate == "57014" && starved.load(Ordering::Relaxed) => {
                Err(fault::starved())
            }
            Err(Error::Sql(problem))
                if problem.sqlstate == "57014"
                    || (problem.sqlstate == "55P03" && is_late(Instant::now())) =>
            {
                Err(timed_out(caps.timeout))
            }
            other => other,
        }
    }

    fn transact(&self, statement: &Statement, access: Access, caps: Caps) -> Result<Answer> {
        let params = value::params(&statement.params)?;
        let read_only = access == Access::Read;
        if read_only {
            return self.fenced(rules::READ, || run(&self.db, &statement.sql, &params, access, caps));
        }
        let ours = |sql| {
            self.db
                .prepare_cached(sql)
                .and_then(|mut it| it.execute([]))
                .map_err(|e| fault::told(e, caps, false))
        };
        ours("BEGIN IMMEDIATE")?;
        let done = self.fenced(rules::WRITE, || run(&self.db, &statement.sql, &params, access, caps));
        let ended = match &done {
            Ok(_) => ours("COMMIT"),
            // SQLite has rolled back by itself after some errors.
            Err(_) if self.db.is_autocommit() => Ok(0),
            Err(_) => ours("ROLLBACK"),
        };
        if ended.is_err() && !self.db.is_autocommit() {
            ours("ROLLBACK")?;
        }
        let answer = done?;
        ended.map(|_| answer)
    }

    /// Does `work` with the authorizer in `mode`.
    fn fenced<T>(&self, mode: u8, work: impl FnOnce() -> T) -> T {
        self.mode.store(mode, Ordering::Relaxed);
        let out = work();
        self.mode.store(rules::OURS, Ordering::Relaxed);
        out
    }
}

fn run(db: &Connection, sql: &str, params: &[Value], access: Access, caps: Caps) -> Result<Answer> {
    let told = |error| fault::told(error, caps, access == Access::Read);
    let mut batch = Batch::new(db, sql);
    let Some(mut statement) = batch.next().map_err(told)? else {
        return Err(Error::refused("empty_statement", "the text holds no statement"));
    };
    match batch.next() {
        Ok(None) => {}
        Ok(Some(_)) => return Err(gate::several()),
        Err(error) => {
            let mut error = told(error);
            // It counts from the end of the first statement.
            if let Error::Sql(problem) = &mut error {
                problem.position = None;
            }
            return Err(error);
        }
    }
    if access == Access::Read && !statement.readonly() {
        return Err(fault::read_only());
    }
    bind(&mut statement, params, caps)?;
    let mut columns: Vec<Column> = statement
        .columns()
        .iter()
        .map(|column| Column {
            name: column.name().to_owned(),
            type_name: column.decl_type().unwrap_or("").to_lowercase(),
        })
        .collect();
    let shown: Vec<Declared> = columns.iter().map(|column| Declared::of(&column.type_name)).collect();
    let is_change = !statement.readonly();
    let mut rows = Vec::new();
    let (mut used, mut truncated) = (0usize, false);
    let mut cursor = statement.raw_query();
    while let Some(row) = cursor.next().map_err(told)? {
        if truncated || rows.len() >= caps.rows {
            truncated = true;
            // A change is carried on to its end, whoever reads it.
            if is_change { continue } else { break }
        }
        let room = caps.bytes.saturating_sub(used);
        let mut json = vec![b'['];
        for (at, (column, declared)) in columns.iter_mut().zip(&shown).enumerate() {
            let value = row.get_ref(at).map_err(told)?;
            if column.type_name.is_empty() {
                column.type_name.push_str(value::class(value).unwrap_or(""));
            }
            // What is left out is not made: a row may have many large values.
            if json.len() > room {
                continue;
            }
            if at > 0 {
                json.push(b',');
            }
            value::write(&mut json, *declared, value);
        }
        json.push(b']');
        used = used.saturating_add(json.len());
        if used > caps.bytes {
            truncated = true;
        } else {
            rows.push(Row::from_json(json)?);
        }
    }
    drop(cursor);
    for column in &mut columns {
        if column.type_name.is_empty() {
            column.type_name.push_str("null");
        }
    }
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let row_count = if columns.is_empty() && is_change { db.changes() } else { count };
    Ok(Answer { columns, rows, row_count, truncated })
}

/// `$2` and `?2` are the second value wherever they stand, as on PostgreSQL; SQLite itself would count
/// `$`-names by their first appearance.
fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Value], caps: Caps) -> Result<()> {
    let mut wanted = 0usize;
    for index in 1..=statement.parameter_count() {
        let number = statement
            .parameter_name(index)
            .and_then(|name| name.strip_prefix(['$', '?']))
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|number| *number > 0)
            .unwrap_or(index);
        wanted = wanted.max(number);
        if let Some(value) = params.get(number.saturating_sub(1)) {
            statement.raw_bind_parameter(index, value).map_err(|error| fault::told(error, caps, false))?;
        }
    }
    if wanted == params.len() { Ok(()) } else { Err(param::wrong_count(wanted, params.len())) }
}
