//! What a migration must not do, told before it runs: statement by statement, with file, line and the
//! way out. Only statements known to be harmless pass. The catalog checks of the engines enforce the
//! same afterwards, so this need not be perfect; it must be early and clear.

use std::fmt;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AlterTableOperation, CreateFunction, CreateTableOptions, CreateView, DataType, Expr, FunctionSecurity,
    ObjectName, ObjectType, SetExpr, SqlOption, Statement as Tree, TableObject, Visit, Visitor,
};

use super::lint_table;
use super::script::Script;
use crate::placement::home::Engine;

/// One thing in a migration that would be unsafe, or would not work in every model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// `NNNN_name/up.sql`.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// The table, view or function it is about, when there is one.
    pub table: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: ", self.file, self.line)?;
        if let Some(table) = &self.table {
            write!(f, "{table}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Gathers what is wrong with one statement.
pub(super) struct Notes<'a> {
    pub(super) engine: Engine,
    pub(super) table: Option<String>,
    script: &'a Script,
    line: u64,
    findings: &'a mut Vec<Finding>,
}

impl Notes<'_> {
    pub(super) fn add(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding {
            file: self.script.file.clone(),
            line: self.line,
            table: self.table.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }
}

/// The findings of one file for one engine.
pub(super) fn script(script: &Script, engine: Engine) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, words) in &script.unreadable {
        findings.push(Finding {
            file: script.file.clone(),
            line: *line,
            table: None,
            problem: format!("cannot be read ({words})"),
            remedy:
                "only SQL that can be checked is run: write it in plain DDL (no DO blocks, no psql commands)"
                    .to_owned(),
        });
    }
    for one in &script.statements {
        let mut notes = Notes { engine, table: None, script, line: one.line, findings: &mut findings };
        statement(&mut notes, &one.tree);
        names(&mut notes, &one.tree);
    }
    findings
}

fn statement(notes: &mut Notes<'_>, tree: &Tree) {
    match tree {
        Tree::CreateTable(table) => lint_table::create(notes, table),
        Tree::AlterTable(alter) => {
            own_name(notes, &alter.name);
            alter.operations.iter().for_each(|operation| lint_table::alter(notes, operation));
            if notes.engine == Engine::Sqlite {
                let plain = |operation: &AlterTableOperation| {
                    matches!(
                        operation,
                        AlterTableOperation::AddColumn { .. }
                            | AlterTableOperation::DropColumn { .. }
                            | AlterTableOperation::RenameColumn { .. }
                            | AlterTableOperation::RenameTable { .. }
                    )
                };
                if alter.operations.len() != 1 || !alter.operations.iter().all(plain) {
                    notes.add(
                        "SQLite alters a table by one column at a time, and cannot change columns or constraints",
                        "add, rename or drop one column per statement, or build a new table and copy the rows",
                    );
                }
            }
        }
        Tree::CreateIndex(index) => {
            notes.table = Some(index.table_name.to_string());
            own_name_opt(notes, index.name.as_ref());
            if index.unique && !lint_table::starts_with_tenant(&index.columns) {
                notes.add(
                    "a unique index that does not start with tenant_id lets one tenant's values collide with another's",
                    "make tenant_id its first column",
                );
            }
            if index.concurrently {
                notes.add(
                    "CONCURRENTLY cannot run inside a migration's transaction",
                    "leave CONCURRENTLY out",
                );
            }
        }
        Tree::CreateView(view) => create_view(notes, view),
        Tree::CreateFunction(function) => create_function(notes, function),
        Tree::CreateTrigger(trigger) => own_name(notes, &trigger.name),
        Tree::CreateType { name, .. } => own_name(notes, name),
        Tree::CreateDomain(domain) => own_name(notes, &domain.name),
        Tree::CreateSequence { name, temporary, .. } => {
            own_name(notes, name);
            if *temporary {
                notes.add("a temporary sequence is gone when the migration ends", "leave TEMPORARY out");
            }
        }
        Tree::Drop { object_type, names, .. } => {
            names.iter().for_each(|name| own_name(notes, name));
            let ours = matches!(
                object_type,
                ObjectType::Table
                    | ObjectType::View
                    | ObjectType::Index
                    | ObjectType::Sequence
                    | ObjectType::Type
            );
            if !ours {
                notes.add(
                    format!("a migration does not drop a {object_type}"),
                    "drop only tables, views, indexes, sequences, types, functions and triggers",
                );
            }
        }
        Tree::DropFunction(_)
        | Tree::DropDomain(_)
        | Tree::DropTrigger(_)
        | Tree::AlterType(_)
        | Tree::AlterIndex { .. }
        | Tree::Comment { .. }
        | Tree::Update(_)
        | Tree::Delete(_) => {}
        Tree::Insert(insert) => {
            if let TableObject::TableName(name) = &insert.table {
                notes.table = Some(name.to_string());
            }
            let carried = insert.columns.iter().any(|column| is(column, "tenant_id"));
            let values = insert.source.as_ref().is_none_or(|query| matches!(*query.body, SetExpr::Values(_)));
            if !carried || values {
                notes.add(
                    "a migration runs once for all tenants of a shared schema, so it cannot know whose row this is",
                    "write INSERT INTO … (tenant_id, …) SELECT tenant_id, … FROM a table that has rows of tenants; \
                     first rows of new tenants are the application's business",
                );
            }
        }
        Tree::Query(query) => {
            if let SetExpr::Select(select) = &*query.body
                && select.into.is_some()
            {
                notes.add(
                    "SELECT INTO makes a table without tenant_id",
                    "write CREATE TABLE with tenant_id, then INSERT … SELECT",
                );
            }
        }
        other => refused(notes, other),
    }
}

/// Statements that have no place in a migration, with the reason where we know one.
fn refused(notes: &mut Notes<'_>, tree: &Tree) {
    let (problem, remedy) = match tree {
        Tree::Grant(_) | Tree::Revoke(_) => (
            "rights are the control plane's business: a GRANT here could open one tenant's data to another",
            "leave it out; every tenant's role may read and write all tables of the schema",
        ),
        Tree::CreateRole(_) | Tree::AlterRole { .. } => {
            ("roles are the control plane's business", "leave it out")
        }
        Tree::CreatePolicy(_) | Tree::AlterPolicy(_) | Tree::DropPolicy(_) => (
            "policies are the control plane's business: permissive ones add up, so another could let rows through",
            "leave it out; every table is protected by itself",
        ),
        Tree::CreateExtension(_) | Tree::DropExtension(_) => (
            "an extension belongs to a whole database and needs rights that migrations do not have",
            "ask the server's administrator to install it",
        ),
        Tree::StartTransaction { .. }
        | Tree::Commit { .. }
        | Tree::Rollback { .. }
        | Tree::Savepoint { .. }
        | Tree::ReleaseSavepoint { .. } => (
            "a migration runs inside one transaction with its checks and its mark, which this would cut",
            "leave transaction control out",
        ),
        Tree::Copy { .. } => {
            ("COPY reads from a client that is not there", "load data through the application")
        }
        Tree::CreateSchema { .. } | Tree::CreateDatabase { .. } => (
            "where tables live is decided by the isolation model",
            "leave it out and name tables without a schema",
        ),
        Tree::Set(_) | Tree::Reset(_) => (
            "a setting could outlive the migration or lead it into another schema",
            "leave it out; the control plane sets search_path and time limits",
        ),
        Tree::Truncate(_) => {
            ("TRUNCATE empties a table for all tenants, whatever the policies say", "use DELETE")
        }
        Tree::Vacuum(_) | Tree::Analyze(_) => ("maintenance cannot run inside a migration", "leave it out"),
        _ => (
            "this kind of statement has no place in a tenant's schema",
            "leave it out, or write it as plain DDL",
        ),
    };
    notes.add(problem, remedy);
}

fn create_view(notes: &mut Notes<'_>, view: &CreateView) {
    own_name(notes, &view.name);
    if view.materialized {
        notes.add(
            "a materialized view holds all tenants' rows and no policy covers it",
            "use a view WITH (security_invoker = true), or a table with tenant_id",
        );
        return;
    }
    if view.temporary {
        notes.add("a temporary view is gone when the migration ends", "leave TEMPORARY out");
    }
    let invoker = match &view.options {
        CreateTableOptions::With(options) => options.iter().any(|option| match option {
            SqlOption::KeyValue { key, value } => {
                key.value.eq_ignore_ascii_case("security_invoker")
                    && matches!(
                        value.to_string().trim_matches('\'').to_ascii_lowercase().as_str(),
                        "true" | "on" | "1"
                    )
            }
            _ => false,
        }),
        _ => false,
    };
    if !invoker {
        notes.add(
            "a view reads with its owner's rights, so it would show every tenant's rows",
            "write CREATE VIEW … WITH (security_invoker = true) AS …",
        );
    }
}

fn create_function(notes: &mut Notes<'_>, function: &CreateFunction) {
    own_name(notes, &function.name);
    if matches!(function.security, Some(FunctionSecurity::Definer)) {
        notes.add(
            "a SECURITY DEFINER function runs with its owner's rights and sees every tenant's rows",
            "leave SECURITY DEFINER out",
        );
    }
    if !function.set_params.is_empty() {
        notes.add("a function that sets parameters can leave its schema", "leave SET out");
    }
    let language =
        function.language.as_ref().map_or_else(|| "sql".to_owned(), |name| name.value.to_lowercase());
    if !matches!(language.as_str(), "sql" | "plpgsql") {
        notes.add(format!("functions in {language} are not trusted here"), "write it in sql or plpgsql");
    }
    if is(&function.name, "current_tenant") || is(&function.name, "gen_random_uuid") {
        notes.add("this name is the control plane's", "choose another name");
    }
    if notes.engine == Engine::Sqlite {
        notes.add("SQLite has no stored functions", "do this in the application");
    }
}

/// Takes `name` as what the statement is about, and refuses names that are ours or carry a schema.
pub(super) fn own_name(notes: &mut Notes<'_>, name: &ObjectName) {
    notes.table = Some(name.to_string());
    own_name_opt(notes, Some(name));
}

fn own_name_opt(notes: &mut Notes<'_>, name: Option<&ObjectName>) {
    let Some(name) = name else { return };
    qualified(notes, name);
    let last = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
    if last.is_some_and(|last| ["tenantry", "sqlite_", "pg_"].iter().any(|ours| last.starts_with(ours))) {
        notes.add(format!("the name {name} is reserved"), "do not start names with tenantry, sqlite_ or pg_");
    }
}

fn qualified(notes: &mut Notes<'_>, name: &ObjectName) {
    if name.0.len() > 1 {
        notes.add(
            format!("{name} names a schema, but each model and tenant has another one"),
            "leave the schema out",
        );
    }
}

/// Whether the last part of `name` is `word`, whatever the case.
pub(super) fn is(name: &ObjectName, word: &str) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value.eq_ignore_ascii_case(word))
}

/// Looks into the whole statement for names that carry a schema and for functions that escape.
fn names(notes: &mut Notes<'_>, tree: &Tree) {
    struct Names<'a, 'b>(&'a mut Notes<'b>);
    impl Visitor for Names<'_, '_> {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            // What a statement creates has been looked at already.
            if self.0.table.as_deref() != Some(name.to_string().as_str()) {
                qualified(self.0, name);
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(call) => {
                    let builtin = call.name.0.first().and_then(|part| part.as_ident());
                    if !builtin.is_some_and(|first| first.value.eq_ignore_ascii_case("pg_catalog")) {
                        qualified(self.0, &call.name);
                    }
                    if ["set_config", "dblink", "dblink_exec", "query_to_xml"]
                        .iter()
                        .any(|bad| is(&call.name, bad))
                    {
                        self.0.add(format!("{} can leave the migration's schema", call.name), "leave it out");
                    }
                }
                Expr::Cast { data_type: DataType::Custom(name, _), .. } => qualified(self.0, name),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let _ = tree.visit(&mut Names(notes));
}
