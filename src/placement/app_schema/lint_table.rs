//! The lint of tables: the tenant's column, keys that start with it, references that carry it.

use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, CreateTable, DataType, Expr,
    ForeignKeyConstraint, Ident, IndexColumn, ReferentialAction, TableConstraint,
};

use super::lint::{Notes, is, own_name};
use crate::placement::home::Engine;

const TENANT: &str = "tenant_id";

pub(super) fn create(notes: &mut Notes<'_>, table: &CreateTable) {
    own_name(notes, &table.name);
    if table.query.is_some() || table.like.is_some() || table.clone.is_some() {
        notes.add(
            "a table copied from another does not carry its keys and defaults in every model",
            "write out CREATE TABLE with its columns, then INSERT … SELECT",
        );
        return;
    }
    if table.temporary {
        notes.add("a temporary table is gone when the migration ends", "leave TEMPORARY out");
    }
    if table.unlogged {
        notes.add("an unlogged table loses its rows in a crash", "leave UNLOGGED out");
    }
    if table.inherits.is_some() || table.partition_by.is_some() || table.partition_of.is_some() {
        notes.add(
            "rows of a partitioned or inherited table can be reached around the parent's policies",
            "use a plain table with indexes that start with tenant_id",
        );
    }
    if table.or_replace || table.external {
        notes.add("this kind of table is not PostgreSQL's or SQLite's", "write a plain CREATE TABLE");
    }
    match table.columns.iter().find(|column| is_tenant(&column.name)) {
        None => notes.add(
            "the table has no tenant_id",
            "add `tenant_id uuid NOT NULL DEFAULT (current_tenant())` and start its keys with it",
        ),
        Some(column) => tenant_column(notes, column),
    }
    for column in &table.columns {
        column_options(notes, column);
    }
    for constraint in &table.constraints {
        table_constraint(notes, constraint);
    }
}

pub(super) fn alter(notes: &mut Notes<'_>, operation: &AlterTableOperation) {
    use AlterTableOperation as Op;
    let protected = |column: &Ident| is_tenant(column);
    match operation {
        Op::AddConstraint { constraint, .. } => table_constraint(notes, constraint),
        Op::AddColumn { column_def, .. } => {
            if is_tenant(&column_def.name) {
                tenant_column(notes, column_def);
            }
            column_options(notes, column_def);
        }
        Op::DropColumn { column_names, .. } if column_names.iter().any(protected) => {
            notes.add("without tenant_id rows belong to nobody", "keep tenant_id");
        }
        Op::RenameColumn { old_column_name, .. } if protected(old_column_name) => {
            notes.add("every tenant table calls this column tenant_id", "keep its name");
        }
        Op::AlterColumn { column_name, op } if protected(column_name) => {
            let same = match op {
                AlterColumnOperation::SetNotNull => true,
                AlterColumnOperation::SetDefault { value } => is_current_tenant(bare(value)),
                _ => false,
            };
            if !same {
                notes.add(
                    "tenant_id must stay uuid NOT NULL DEFAULT (current_tenant())",
                    "leave this column as it is",
                );
            }
        }
        Op::DropColumn { .. }
        | Op::RenameColumn { .. }
        | Op::AlterColumn { .. }
        | Op::DropConstraint { .. }
        | Op::RenameTable { .. }
        | Op::RenameConstraint { .. }
        | Op::ValidateConstraint { .. } => {}
        Op::DisableRowLevelSecurity
        | Op::EnableRowLevelSecurity
        | Op::ForceRowLevelSecurity
        | Op::NoForceRowLevelSecurity => notes.add(
            "row-level security is the control plane's business",
            "leave it out; it is switched on wherever the isolation model needs it",
        ),
        Op::OwnerTo { .. } => notes.add(
            "a table's owner may switch off its protection, so it must stay the control plane's role",
            "leave OWNER TO out",
        ),
        other => notes.add(
            format!("`{other}` has no place in a tenant's schema"),
            "keep to adding, changing and dropping columns and constraints",
        ),
    }
}

fn tenant_column(notes: &mut Notes<'_>, column: &ColumnDef) {
    if column.data_type != DataType::Uuid {
        notes.add(format!("tenant_id is {}, not uuid", column.data_type), "make it uuid");
    }
    if !column.options.iter().any(|option| matches!(option.option, ColumnOption::NotNull)) {
        notes.add("tenant_id may be null, and such rows would belong to nobody", "make it NOT NULL");
    }
    let default = column.options.iter().find_map(|option| match &option.option {
        ColumnOption::Default(value) => Some(value),
        _ => None,
    });
    if !default.is_some_and(|value| is_current_tenant(bare(value))) {
        notes.add("tenant_id is not filled in by the database", "give it DEFAULT (current_tenant())");
    }
}

fn column_options(notes: &mut Notes<'_>, column: &ColumnDef) {
    let unique_alone = "a key on this column alone lets one tenant's values collide with another's";
    for option in &column.options {
        match &option.option {
            ColumnOption::PrimaryKey(_) if !is_tenant(&column.name) => {
                notes.add(
                    unique_alone,
                    format!("write PRIMARY KEY (tenant_id, {}) as a constraint of the table", column.name),
                );
            }
            ColumnOption::Unique(_) if !is_tenant(&column.name) => {
                notes.add(
                    unique_alone,
                    format!("write UNIQUE (tenant_id, {}) as a constraint of the table", column.name),
                );
            }
            ColumnOption::ForeignKey(_) => notes.add(
                format!(
                    "the reference of {} does not carry tenant_id, so it could reach another tenant's row",
                    column.name
                ),
                format!("write FOREIGN KEY (tenant_id, {}) REFERENCES … (tenant_id, …)", column.name),
            ),
            ColumnOption::Default(value)
                if notes.engine == Engine::Sqlite
                    && matches!(value, Expr::Function(call) if call.args != sqlparser::ast::FunctionArguments::None) =>
            {
                notes.add(
                    format!("SQLite takes a function as default of {} only in parentheses", column.name),
                    format!("write DEFAULT ({value}): PostgreSQL takes that too"),
                );
            }
            ColumnOption::Identity(_) | ColumnOption::Generated { generation_expr: None, .. }
                if notes.engine == Engine::Sqlite =>
            {
                notes.add(
                    "SQLite has no identity columns",
                    "use `id uuid NOT NULL DEFAULT (gen_random_uuid())`",
                );
            }
            _ => {}
        }
    }
}

fn table_constraint(notes: &mut Notes<'_>, constraint: &TableConstraint) {
    let collide = "a key that does not start with tenant_id lets one tenant's values collide with another's";
    match constraint {
        TableConstraint::PrimaryKey(key) if !starts_with_tenant(&key.columns) => {
            notes.add(collide, "write PRIMARY KEY (tenant_id, …)");
        }
        TableConstraint::Unique(key) if !starts_with_tenant(&key.columns) => {
            notes.add(collide, "write UNIQUE (tenant_id, …)");
        }
        TableConstraint::ForeignKey(key) => foreign_key(notes, key),
        TableConstraint::PrimaryKey(_) | TableConstraint::Unique(_) | TableConstraint::Check(_) => {}
        other => {
            notes.add(format!("`{other}` cannot be checked here"), "write the key as PRIMARY KEY or UNIQUE")
        }
    }
}

fn foreign_key(notes: &mut Notes<'_>, key: &ForeignKeyConstraint) {
    let at = |columns: &[Ident]| columns.iter().position(is_tenant);
    let carried = at(&key.columns).is_some() && at(&key.columns) == at(&key.referred_columns);
    if !carried {
        notes.add(
            format!("the reference to {} does not carry tenant_id on both sides, so it could reach another tenant's row", key.foreign_table),
            "write FOREIGN KEY (tenant_id, …) REFERENCES … (tenant_id, …)",
        );
    }
    let sets = [key.on_delete, key.on_update];
    let nulls = |action: &Option<ReferentialAction>| {
        matches!(action, Some(ReferentialAction::SetNull | ReferentialAction::SetDefault))
    };
    if carried && sets.iter().any(nulls) {
        notes.add(
            "SET NULL and SET DEFAULT would change tenant_id too, which is never allowed",
            "use ON DELETE CASCADE or RESTRICT, or clear the reference in the application",
        );
    }
    if key.foreign_table.0.len() > 1 {
        notes.add(
            format!("{} names a schema, but each model and tenant has another one", key.foreign_table),
            "leave the schema out",
        );
    }
}

/// Whether an index's first column is `tenant_id` itself.
pub(super) fn starts_with_tenant(columns: &[IndexColumn]) -> bool {
    columns
        .first()
        .is_some_and(|first| matches!(&first.column.expr, Expr::Identifier(name) if is_tenant(name)))
}

fn is_tenant(name: &Ident) -> bool {
    if name.quote_style.is_some() { name.value == TENANT } else { name.value.eq_ignore_ascii_case(TENANT) }
}

fn bare(mut value: &Expr) -> &Expr {
    while let Expr::Nested(inner) = value {
        value = inner;
    }
    value
}

fn is_current_tenant(value: &Expr) -> bool {
    matches!(value, Expr::Function(call) if call.name.0.len() == 1 && is(&call.name, "current_tenant"))
}
