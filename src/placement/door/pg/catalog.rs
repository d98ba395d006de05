//! The types that are an application's or an extension's own, looked up as the tenant's role.

use std::collections::HashMap;
use std::io;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::wire::{Frame, Wire, invalid};
use crate::placement::door::shape::{Shape, TypeInfo, builtin};

/// Arrays of domains over arrays … end somewhere.
const STEPS: usize = 8;
const ROW_BYTES: usize = 4 << 10;

/// A row of `pg_type`, as far as it matters here.
struct Entry {
    name: String,
    /// What an array holds, else 0.
    element: u32,
    /// What a domain restricts, else 0.
    base: u32,
    delimiter: char,
}

/// The types known to one connection.
#[derive(Default)]
pub(super) struct Catalog {
    entries: HashMap<u32, Entry>,
}

impl Catalog {
    /// The type, or `text` under the name `unknown` when it was not looked up.
    pub(super) fn get(&self, oid: u32) -> TypeInfo {
        self.resolve(oid, STEPS).unwrap_or_else(|| TypeInfo::text("unknown"))
    }

    fn resolve(&self, oid: u32, steps: usize) -> Option<TypeInfo> {
        if let Some(known) = builtin(oid) {
            return Some(known);
        }
        let steps = steps.checked_sub(1)?;
        let entry = self.entries.get(&oid)?;
        if entry.element != 0 {
            return Some(self.resolve(entry.element, steps)?.array(entry.delimiter));
        }
        let shape = if entry.base == 0 { Shape::Text } else { self.resolve(entry.base, steps)?.shape };
        Some(TypeInfo { name: entry.name.clone(), shape })
    }

    /// Those of `oids`, and of what they are made of, that are not known yet.
    pub(super) fn missing(&self, oids: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut out: Vec<u32> = oids
            .chain(self.entries.values().flat_map(|entry| [entry.element, entry.base]))
            .filter(|oid| *oid != 0 && builtin(*oid).is_none() && !self.entries.contains_key(oid))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Looks up the types of `oids`. `ready` is how many answers of earlier work stand in the stream
    /// before ours; with `sync` the lookup is a transaction of its own, without it it joins the
    /// present one.
    ///
    /// An error leaves the stream in an unknown state.
    pub(super) async fn learn(
        &mut self,
        wire: &mut Wire,
        oids: &[u32],
        sync: bool,
        mut ready: usize,
    ) -> io::Result<()> {
        let mut wanted = self.missing(oids.iter().copied());
        for _ in 0..STEPS {
            if wanted.is_empty() {
                break;
            }
            ask(wire, &wanted, sync)?;
            wire.send().await?;
            if sync {
                ready = ready.saturating_add(1);
            }
            loop {
                match wire.next(ROW_BYTES).await? {
                    Frame::Message(Message::DataRow(row)) if ready <= usize::from(sync) => self.add(&row)?,
                    Frame::Message(Message::CloseComplete) if !sync => break,
                    Frame::Message(Message::ReadyForQuery(_)) => {
                        ready = ready.saturating_sub(1);
                        if ready == 0 {
                            break;
                        }
                    }
                    Frame::Message(_) => {}
                    Frame::Oversize(_) => return Err(invalid("a type with an endless name")),
                    Frame::Fault(fault) => return Err(invalid(fault.line())),
                }
            }
            let before = std::mem::replace(&mut wanted, self.missing(oids.iter().copied()));
            if wanted == before {
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, row: &DataRowBody) -> io::Result<()> {
        let mut fields = Vec::with_capacity(5);
        let mut ranges = row.ranges();
        while let Some(range) = ranges.next()? {
            let bytes = range.and_then(|range| row.buffer().get(range)).unwrap_or_default();
            fields.push(std::str::from_utf8(bytes).map_err(invalid)?);
        }
        let [oid, name, element, base, delimiter] = fields.as_slice() else {
            return Err(invalid("not a row of pg_type"));
        };
        self.entries.insert(
            oid.parse().map_err(invalid)?,
            Entry {
                name: (*name).to_owned(),
                element: element.parse().map_err(invalid)?,
                base: base.parse().map_err(invalid)?,
                delimiter: delimiter.chars().next().unwrap_or(','),
            },
        );
        Ok(())
    }
}

/// Asks under a name of its own, so that the unnamed statement (the tenant's) stays as it is.
fn ask(wire: &mut Wire, oids: &[u32], sync: bool) -> io::Result<()> {
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let sql = format!(
        "SELECT t.oid, t.typname, \
         CASE WHEN t.typcategory OPERATOR(pg_catalog.=) 'A' AND t.typlen OPERATOR(pg_catalog.=) -1 \
         AND t.typtype OPERATOR(pg_catalog.=) 'b' THEN t.typelem ELSE 0 END, t.typbasetype, \
         (SELECT e.typdelim FROM pg_catalog.pg_type e WHERE e.oid OPERATOR(pg_catalog.=) t.typelem) \
         FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) ANY ('{{{list}}}'::pg_catalog.oid[])"
    );
    let out = &mut wire.outbox;
    frontend::parse("types", &sql, [], out)?;
    super::bind("", "types", std::iter::empty::<Option<&str>>(), out)?;
    frontend::execute("", 0, out)?;
    frontend::close(b'S', "types", out)?;
    if sync {
        frontend::sync(out)
    } else {
        frontend::flush(out)
    }
    Ok(())
}
