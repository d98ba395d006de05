//! Who may know whom. Reads every path that starts at `crate::` in `src/` and fails on a breach.
//!
//! | who | may know |
//! |---|---|
//! | `kernel` | nothing of ours |
//! | the floor | the kernel and the floor |
//! | a capability | the floor, `app`, and the capabilities before it in `CAPABILITIES` |
//! | `app`, `server`, `cli`, `main` | all; and nobody but these knows `server`, `cli` or `main` |
//!
//! Of another capability one sees what its `mod.rs` shows, never its `INNER_ROOMS`. Within a capability the way
//! goes down: `http` → `commands`, `queries`, `reconcile` → `store` → `db`; a `model` knows words alone and does
//! no I/O. actix-web stays in `http` (and where the server is put together), diesel in `store` (and where the
//! house's own tables are kept). The lists below are these rules; `docs/ARCHITECTURE.md` says why.

use std::path::{Path, PathBuf};

/// Words without I/O.
const KERNEL: &str = "kernel";

/// What every capability stands on.
const FLOOR: &[&str] = &["db", "config", "log", "work", "auth", "http", "telemetry"];

/// Each may know those before it. A new capability gets its place here.
const CAPABILITIES: &[&str] = &[
    "mail",
    "catalog",
    "tenants",
    "billing",
    "subscriptions",
    "placement",
    "metering",
    "entitlements",
    "identity",
    "keys",
    "directory",
    "audit",
    "webhooks",
    "broker",
    "projections",
    "onboarding",
    "operations",
    "feeds",
];

/// What all handlers and workers share: it knows all, and may be known from the capabilities up.
const SHARED: &str = "app";

/// They know all, and nobody knows them.
const TOP: &[&str] = &["server", "cli", "main"];

/// Rooms of a capability that no other one enters.
const INNER_ROOMS: &[&str] = &["store", "http", "reconcile"];

/// What a model never reaches for, wherever it lies.
const ROOMS_WITH_IO: &[&str] = &["app", "db", "store", "commands", "queries", "http"];

/// The storeys of a capability, lowest first: a lower one does not know a higher.
const STOREYS: &[&[&str]] = &[&["model"], &["store"], &["commands", "queries", "reconcile"], &["http"]];

/// Where actix-web may be, besides each `http.rs` and `http/`.
const ACTIX: &[&str] = &["server/", "cli/serve.rs", "main.rs"];

/// Where diesel may be, besides each `store.rs` and `store/`.
const DIESEL: &[&str] = &["db.rs", "db/", "kernel/", "log.rs", "log/", "http/idempotency"];

/// The breaches in one file. `file` is its path below `src/`, `modules` the top-level modules that exist.
fn breaches(file: &str, text: &str, modules: &[String]) -> Vec<String> {
    let code = code_only(text);
    let place = Place::of(file);
    let mut found = Vec::new();
    for (line, path) in paths(&code, &place) {
        let Some(target) = path.first().map(String::as_str) else { continue };
        let known = modules.iter().any(|module| module == target);
        if let Some(why) = known.then(|| place.objects_to(target, &path)).flatten() {
            found.push(format!("src/{file}:{line}: crate::{}: {why}", path.join("::")));
        }
    }
    for (line, text) in code.lines().enumerate().map(|(n, text)| (n + 1, text)) {
        if has_word(text, "actix_web")
            && !place.storey("http")
            && !ACTIX.iter().any(|at| file.starts_with(at))
        {
            found.push(format!(
                "src/{file}:{line}: actix_web lives in http.rs; what is below it knows no HTTP"
            ));
        }
        if has_word(text, "diesel") && !place.storey("store") && !DIESEL.iter().any(|at| file.starts_with(at))
        {
            found.push(format!(
                "src/{file}:{line}: diesel lives in store.rs; what is above it calls its functions"
            ));
        }
        if text.contains("super::super::") {
            found.push(format!("src/{file}:{line}: write crate::… instead of super::super::…, so that one sees where it leads"));
        }
    }
    found
}

/// Where a file stands.
struct Place {
    module: String,
    /// The names below the module: `["http"]` for tenants/http.rs, `["http", "tenants"]` for tenants/http/tenants.rs.
    rooms: Vec<String>,
}

impl Place {
    fn of(file: &str) -> Self {
        let mut parts =
            file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").map(str::to_owned);
        Self { module: parts.next().unwrap(), rooms: parts.collect() }
    }

    /// Whether this is the storey of that name, in whichever module: `src/http` itself is one.
    fn storey(&self, name: &str) -> bool {
        self.module == name || self.rooms.iter().any(|room| room == name)
    }

    /// Why this file may not know that path, if so.
    fn objects_to(&self, target: &str, path: &[String]) -> Option<String> {
        let me = self.module.as_str();
        let i_am = |names: &[&str]| names.contains(&me);
        let room = path.get(1).map(String::as_str);
        if self.storey("model") && ROOMS_WITH_IO.iter().any(|room| path.iter().any(|part| part == room)) {
            return Some("a model does no I/O".to_owned());
        }
        if target == me {
            return self.looks_up_to(room?);
        }
        if i_am(TOP) || me == "lib" {
            return None;
        }
        if TOP.contains(&target) {
            return Some(format!("nobody knows {target}"));
        }
        if me == KERNEL {
            return Some("the kernel knows nothing of ours".to_owned());
        }
        if target == KERNEL || me == SHARED {
            return None;
        }
        if self.rooms.iter().any(|room| room == "tests") {
            return None;
        }
        if i_am(FLOOR) {
            return (!FLOOR.contains(&target)).then(|| "the floor knows the floor alone".to_owned());
        }
        if FLOOR.contains(&target) || target == SHARED {
            return None;
        }
        let place_of = |name: &str| CAPABILITIES.iter().position(|capability| *capability == name);
        let (Some(mine), Some(theirs)) = (place_of(me), place_of(target)) else {
            return Some(format!(
                "{me} or {target} has no place yet: give it one at the top of tests/it/houses.rs"
            ));
        };
        if theirs > mine {
            return Some(format!("{target} comes after {me}: news travels up through the log"));
        }
        let inner = room.filter(|room| INNER_ROOMS.contains(room))?;
        Some(format!("{inner} is an inner room of {target}: ask its mod.rs"))
    }

    /// Why this file may not know a room of its own capability, if so.
    fn looks_up_to(&self, room: &str) -> Option<String> {
        if !CAPABILITIES.contains(&self.module.as_str()) {
            return None;
        }
        let level = |name: &str| STOREYS.iter().position(|names| names.contains(&name));
        let mine = self.rooms.first().and_then(|room| level(room))?;
        (level(room)? > mine).then(|| format!("{} is below {room}", self.rooms.join("::")))
    }
}

// ---- reading Rust, as far as needed ----

/// Every path from the crate's root that the code names, use-trees written out, with its line. A `super::` in a
/// file that stands right at the root or below a module counts, when it names one of the modules or rooms there.
fn paths(code: &str, place: &Place) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (start, prefix) in [("crate::", Vec::new()), ("super::", place.parent())] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let line = code[..at].lines().count().max(1) + usize::from(code[..at].ends_with('\n'));
            let mut written = Vec::new();
            tree(&mut code[at + start.len()..].trim_start(), &prefix, &mut written);
            found.extend(written.into_iter().map(|path| (line, path)));
        }
    }
    found
}

impl Place {
    /// The path that `super` means at the top of this file.
    fn parent(&self) -> Vec<String> {
        let mut path: Vec<String> = std::iter::once(&self.module).chain(&self.rooms).cloned().collect();
        path.pop();
        path
    }
}

/// Reads one use-tree, `a::{b, c::d}`, and leaves `rest` behind it.
fn tree(rest: &mut &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        *rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('{') {
            *rest = inside;
            while !rest.is_empty() && !rest.trim_start().starts_with('}') {
                let before = rest.len();
                tree(rest, &path, found);
                // Over `as name` and the comma; whatever else stands here is no tree.
                *rest = rest.trim_start_matches(|c| c != ',' && c != '}').trim_start_matches(',');
                if rest.len() == before {
                    return;
                }
            }
            *rest = rest.trim_start().strip_prefix('}').unwrap_or(rest);
            return;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        *rest = after;
        // A macro sits at the crate's root wherever it is written; its name says nothing of modules.
        if after.starts_with('!') && path.is_empty() {
            return;
        }
        if !name.is_empty() && name != "self" {
            path.push(name.to_owned());
        }
        match rest.trim_start().strip_prefix("::") {
            Some(after) if !name.is_empty() => *rest = after,
            _ => break,
        }
    }
    if !path.is_empty() {
        found.push(path);
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(of_a_name) && !text[at + word.len()..].starts_with(of_a_name))
}

/// The text without comments and the insides of string and character literals; lines stay where they are.
fn code_only(text: &str) -> String {
    static NOT_CODE: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
        let comment = r"//[^\n]*|/\*(?s:.*?)\*/";
        let raw = [2, 1, 0]
            .map(|n| "#".repeat(n))
            .map(|hashes| format!(r#"\bb?r{hashes}"(?s:.*?)"{hashes}"#))
            .join("|");
        let plain = r#"b?"(?s:\\.|[^"\\])*""#;
        let character = r"b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'";
        regex::Regex::new(&format!("{comment}|{raw}|{plain}|{character}")).unwrap()
    });
    let lines_only = |c: &regex::Captures<'_>| format!("\"\"{}", "\n".repeat(c[0].matches('\n').count()));
    NOT_CODE.replace_all(text, lines_only).into_owned()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nobody_knows_whom_they_should_not() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let files: Vec<(String, String)> = files
        .iter()
        .map(|path| {
            (
                path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(),
                std::fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    let mut modules: Vec<String> =
        files.iter().map(|(file, _)| Place::of(file).module).filter(|m| m != "lib").collect();
    modules.sort();
    modules.dedup();
    let mut found: Vec<String> =
        files.iter().flat_map(|(file, text)| breaches(file, text, &modules)).collect();
    for module in &modules {
        let placed = [FLOOR, CAPABILITIES, TOP].concat().contains(&module.as_str())
            || module == KERNEL
            || module == SHARED;
        if !placed {
            found
                .push(format!("src/{module} has no place yet: give it one at the top of tests/it/houses.rs"));
        }
    }
    found.sort();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[cfg(test)]
mod the_rules {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        let all = [FLOOR, CAPABILITIES, TOP, &[KERNEL, SHARED]].concat();
        breaches(file, text, &all.into_iter().map(str::to_owned).collect::<Vec<_>>())
    }

    fn refused(file: &str, text: &str, because: &str) {
        let found = found(file, text);
        assert_eq!(found.len(), 1, "{file}: {text} gives {found:?}");
        assert!(found[0].contains(because), "{}", found[0]);
    }

    fn allowed(file: &str, text: &str) {
        assert_eq!(found(file, text), Vec::<String>::new(), "{file}: {text}");
    }

    #[test]
    fn the_kernel_and_the_floor_look_at_nothing_above() {
        allowed("kernel/id.rs", "use crate::kernel::entropy;");
        refused("kernel/id.rs", "use crate::db::Conn;", "the kernel knows nothing of ours");
        allowed("work/mod.rs", "use crate::{kernel::id, db::{self, Conn}, log};");
        refused(
            "work/mod.rs",
            "use crate::{kernel::id, tenants::Tenant};",
            "the floor knows the floor alone",
        );
        refused("telemetry.rs", "use crate::app::App;", "the floor knows the floor alone");
        refused("telemetry.rs", "fn f() { super::keys::hash() }", "the floor knows the floor alone");
    }

    #[test]
    fn capabilities_know_those_before_them_by_their_face() {
        allowed("placement/commands.rs", "use crate::tenants::{self, get_in};");
        refused("tenants/commands.rs", "use crate::placement::Placement;", "placement comes after tenants");
        refused(
            "keys/queries.rs",
            "fn f() { crate::tenants::store::get() }",
            "store is an inner room of tenants",
        );
        refused(
            "keys/queries.rs",
            "use crate::{kernel::id,\n  tenants::{Tenant, store as rows}};",
            "inner room",
        );
        refused("keys/queries.rs", "use crate::server::run;", "nobody knows server");
        allowed("keys/http.rs", "use crate::app::App;");
        allowed("app.rs", "use crate::{keys::Hot, tenants};");
        allowed("cli/serve.rs", "use crate::server;");
    }

    #[test]
    fn within_a_capability_the_way_goes_down() {
        allowed("tenants/http.rs", "use super::{commands, queries}; use actix_web::web;");
        allowed("tenants/store.rs", "use super::model::Tenant; use diesel::prelude::*;");
        refused("tenants/store.rs", "use super::commands::suspend;", "store is below commands");
        refused("tenants/commands.rs", "use crate::tenants::http::View;", "commands is below http");
        refused("tenants/commands.rs", "use actix_web::web;", "actix_web lives in http.rs");
        refused(
            "tenants/queries.rs",
            "fn f(c: &mut diesel::SqliteConnection) {}",
            "diesel lives in store.rs",
        );
        refused("tenants/model.rs", "use crate::db::Conn;", "a model does no I/O");
        refused("tenants/model.rs", "use super::store;", "a model does no I/O");
        allowed("tenants/model.rs", "use crate::kernel::id; use crate::catalog::model::Plan;");
        refused("tenants/http/list.rs", "use super::super::store;", "instead of super::super");
    }

    #[test]
    fn words_that_are_no_code_are_no_breach() {
        allowed(
            "kernel/mod.rs",
            "//! See [`crate::tenants`].\n/* crate::db */ const A: &str = \"crate::db \\\" crate::log\";",
        );
        allowed(
            "kernel/mod.rs",
            "const A: &str = r#\"crate::db \" diesel\"#; fn f<'a>(x: &'a str) -> char { '\"' }",
        );
        allowed("kernel/mod.rs", "pub(crate) fn f() { crate::each!(1); }");
        allowed("kernel/mod.rs", "mod tests { use super::*; }");
        refused(
            "kernel/mod.rs",
            "fn f<'a>(q: char) { q == '\"'; crate::db::x(); }",
            "the kernel knows nothing",
        );
    }

    #[test]
    fn a_breach_is_told_with_its_line() {
        let found = found("kernel/id.rs", "/* two\nlines */\nuse crate::log::Event;\n");
        assert_eq!(found, ["src/kernel/id.rs:3: crate::log::Event: the kernel knows nothing of ours"]);
    }
}
