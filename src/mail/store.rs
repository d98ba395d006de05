//! The table of letters that wait to be delivered.

use diesel::prelude::*;
use serde_json::json;

use super::SEND_OPERATION;
use super::model::{Letter, NewMail};
use crate::db::Conn;
use crate::db::schema::mails;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{MailId, OperationId, TenantId};
use crate::kernel::vault::Vault;
use crate::work::{self, NewOperation};

const PURPOSE: &str = "mails.letter";

/// A letter that waits.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = mails)]
struct Row {
    id: MailId,
    tenant_id: Option<TenantId>,
    operation_id: OperationId,
    letter: Vec<u8>,
    created_at: Ts,
    expires_at: Ts,
}

/// Posts a letter in the caller's transaction: it is delivered if that commits. Wake the workers after.
///
/// # Errors
/// The store's.
pub fn post_in(conn: &mut Conn, vault: &Vault, now: Ts, mail: &NewMail) -> Result<MailId> {
    let id = MailId::mint();
    let operation = work::store::open_in(
        conn,
        now,
        NewOperation {
            kind: SEND_OPERATION,
            tenant: mail.tenant,
            input: json!({ "mail_id": id, "letter": mail.letter.kind }),
            steps: vec!["deliver".to_owned()],
            begin: now,
            done: false,
        },
    )?;
    let plain = serde_json::to_vec(&mail.letter).map_err(Error::internal)?;
    let row = Row {
        id,
        tenant_id: mail.tenant,
        operation_id: operation.id,
        letter: vault.seal(PURPOSE, &plain)?,
        created_at: now,
        expires_at: mail.expires_at,
    };
    diesel::insert_into(mails::table).values(row).execute(conn)?;
    Ok(id)
}

/// A waiting letter and when it stops to be worth delivering; `None` when it was delivered, or is no longer wanted.
///
/// # Errors
/// The store's; [`Error::Internal`] when it was sealed under a key that is not configured.
pub(super) fn find(conn: &mut Conn, vault: &Vault, id: MailId) -> Result<Option<(Letter, Ts)>> {
    let row: Option<Row> = mails::table.find(id).select(Row::as_select()).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let plain = vault.open(PURPOSE, &row.letter)?;
    Ok(Some((serde_json::from_slice(&plain).map_err(Error::internal)?, row.expires_at)))
}

/// Removes a letter that needs no delivery any more.
///
/// # Errors
/// The store's.
pub(super) fn remove(conn: &mut Conn, id: MailId) -> Result<()> {
    diesel::delete(mails::table.find(id)).execute(conn)?;
    Ok(())
}

/// Removes letters that stopped to be worth delivering before `before`: nobody will try them again.
///
/// # Errors
/// The store's.
pub fn forget_expired(conn: &mut Conn, before: Ts) -> Result<()> {
    diesel::delete(mails::table.filter(mails::expires_at.lt(before))).execute(conn)?;
    Ok(())
}

/// Removes a tenant's waiting letters: what is said in them holds no more.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(mails::table.filter(mails::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
