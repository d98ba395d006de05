//! The table of operators who are people.

use diesel::prelude::*;

use super::model::{Operator, Standing};
use crate::auth::caller::OperatorRole;
use crate::auth::secret_key::KeyHash;
use crate::db::Conn;
use crate::db::schema::operator_users;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::OperatorUserId;
use crate::kernel::page::{Page, PageRequest};

/// An operator's record.
#[derive(Queryable, Selectable, Insertable, AsChangeset, Clone)]
#[diesel(table_name = operator_users, treat_none_as_null = true)]
pub struct OperatorRow {
    /// Their id.
    pub id: OperatorUserId,
    /// Their address, lower-cased; unique.
    pub email: String,
    /// What they may do.
    pub role: OperatorRole,
    /// argon2id in PHC text; none until they set a password.
    pub password_hash: Option<String>,
    /// SHA-256 of the token by which they set one.
    pub setup_hash: Option<Vec<u8>>,
    /// Until when it is good.
    pub setup_expires_at: Option<Ts>,
    /// Who made them.
    pub created_by: String,
    /// When they were made.
    pub created_at: Ts,
    /// When they last changed.
    pub updated_at: Ts,
    /// Since when they may not sign in.
    pub disabled_at: Option<Ts>,
    /// Counts the changes.
    pub rev: i64,
}

impl OperatorRow {
    /// As operators see one another.
    pub fn view(&self) -> Operator {
        let state = match (self.disabled_at, &self.password_hash) {
            (Some(_), _) => Standing::Disabled,
            (None, None) => Standing::Invited,
            (None, Some(_)) => Standing::Active,
        };
        Operator {
            id: self.id,
            email: self.email.clone(),
            role: self.role,
            state,
            created_at: self.created_at,
            updated_at: self.updated_at,
            disabled_at: self.disabled_at,
            setup_expires_at: self.setup_expires_at,
            rev: self.rev,
        }
    }

    /// Whether they can sign in as an admin.
    pub fn is_good_admin(&self) -> bool {
        self.role == OperatorRole::Admin && self.disabled_at.is_none() && self.password_hash.is_some()
    }
}

/// Writes a new operator.
///
/// # Errors
/// [`Error::Conflict`] `email_in_use`.
pub fn insert(conn: &mut Conn, row: OperatorRow) -> Result<()> {
    diesel::insert_into(operator_users::table).values(row).execute(conn).map_err(
        |error| match Error::from(error) {
            Error::Conflict { .. } => Error::conflict("email_in_use", "an operator has this address already"),
            other => other,
        },
    )?;
    Ok(())
}

/// Reads an operator.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, id: OperatorUserId) -> Result<Option<OperatorRow>> {
    operator_users::table.find(id).select(OperatorRow::as_select()).first(conn).optional().map_err(Into::into)
}

/// Finds an operator by address.
///
/// # Errors
/// The store's.
pub fn by_email(conn: &mut Conn, email: &str) -> Result<Option<OperatorRow>> {
    operator_users::table
        .filter(operator_users::email.eq(email))
        .select(OperatorRow::as_select())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Finds an operator by the token that sets their password.
///
/// # Errors
/// The store's.
pub fn by_setup(conn: &mut Conn, hash: &KeyHash) -> Result<Option<OperatorRow>> {
    operator_users::table
        .filter(operator_users::setup_hash.eq(hash.to_vec()))
        .select(OperatorRow::as_select())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// A page of operators, newest first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, request: PageRequest) -> Result<Page<Operator>> {
    let mut query = operator_users::table.select(OperatorRow::as_select()).into_boxed();
    if let Some((at, id)) = request.after {
        let id = OperatorUserId::from_uuid(id);
        query = query.filter(
            operator_users::created_at
                .lt(at)
                .or(operator_users::created_at.eq(at).and(operator_users::id.lt(id))),
        );
    }
    let rows: Vec<OperatorRow> = query
        .order((operator_users::created_at.desc(), operator_users::id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    let page = Page::cut(rows, request, |row: &OperatorRow| (row.created_at, row.id.uuid()));
    Ok(page.map(|row| row.view()))
}

/// Saves an operator and counts the change.
///
/// # Errors
/// [`Error::PreconditionFailed`] when they changed meanwhile.
pub fn save(conn: &mut Conn, row: &mut OperatorRow) -> Result<()> {
    let unchanged =
        operator_users::table.filter(operator_users::id.eq(row.id)).filter(operator_users::rev.eq(row.rev));
    row.rev += 1;
    let rows = diesel::update(unchanged).set(row.clone()).execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// Removes an operator.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, id: OperatorUserId) -> Result<()> {
    diesel::delete(operator_users::table.find(id)).execute(conn)?;
    Ok(())
}

/// How many people can sign in as an admin. Their rows are locked on PostgreSQL, so that two removals that
/// cross cannot both find another admin left.
///
/// # Errors
/// The store's.
pub fn count_good_admins(conn: &mut Conn) -> Result<usize> {
    let good = operator_users::table
        .select(operator_users::id)
        .filter(operator_users::role.eq(OperatorRole::Admin))
        .filter(operator_users::disabled_at.is_null())
        .filter(operator_users::password_hash.is_not_null());
    let ids: Vec<OperatorUserId> = match conn {
        Conn::Sqlite(c) => good.load(c)?,
        Conn::Postgres(c) => good.order(operator_users::id.asc()).for_update().load(c)?,
    };
    Ok(ids.len())
}
