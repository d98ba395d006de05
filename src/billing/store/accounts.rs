//! The table of accounts at the provider.

use diesel::prelude::*;

use crate::billing::model::{Account, Status};
use crate::db::Conn;
use crate::db::schema::billing_accounts as accounts;
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::sql::Json;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts)]
#[diesel(treat_none_as_null = true)]
struct Row {
    tenant_id: TenantId,
    customer_ref: Option<String>,
    subscription_ref: Option<String>,
    item_ref: Option<String>,
    status: Option<Status>,
    status_at: Option<Ts>,
    wanted: Json,
    wanted_rev: i64,
    synced_rev: i64,
    round: i32,
    operation_id: Option<OperationId>,
    created_at: Ts,
    updated_at: Ts,
}

impl TryFrom<Row> for Account {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            tenant_id: row.tenant_id,
            customer_ref: row.customer_ref,
            subscription_ref: row.subscription_ref,
            item_ref: row.item_ref,
            status: row.status,
            status_at: row.status_at,
            wanted: serde_json::from_value(row.wanted.0).map_err(Error::internal)?,
            wanted_rev: row.wanted_rev,
            synced_rev: row.synced_rev,
            round: row.round,
            operation_id: row.operation_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// A tenant's account, if it ever had one.
///
/// # Errors
/// The store's.
pub fn account(conn: &mut Conn, tenant: TenantId) -> Result<Option<Account>> {
    let row: Option<Row> = accounts::table.find(tenant).select(Row::as_select()).first(conn).optional()?;
    row.map(Account::try_from).transpose()
}

/// The account that the provider calls `customer`.
///
/// # Errors
/// The store's.
pub fn by_customer(conn: &mut Conn, customer: &str) -> Result<Option<Account>> {
    let row: Option<Row> = accounts::table
        .filter(accounts::customer_ref.eq(customer))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Account::try_from).transpose()
}

/// Writes an account, new or changed. Read it in the same transaction.
///
/// # Errors
/// The store's.
pub fn save_account(conn: &mut Conn, account: &Account) -> Result<()> {
    let row = || -> Result<Row> {
        let account = account.clone();
        Ok(Row {
            tenant_id: account.tenant_id,
            customer_ref: account.customer_ref,
            subscription_ref: account.subscription_ref,
            item_ref: account.item_ref,
            status: account.status,
            status_at: account.status_at,
            wanted: Json(serde_json::to_value(&account.wanted).map_err(Error::internal)?),
            wanted_rev: account.wanted_rev,
            synced_rev: account.synced_rev,
            round: account.round,
            operation_id: account.operation_id,
            created_at: account.created_at,
            updated_at: account.updated_at,
        })
    };
    let (new, changed) = (row()?, row()?);
    each!(conn, |c| diesel::insert_into(accounts::table)
        .values(new)
        .on_conflict(accounts::tenant_id)
        .do_update()
        .set(changed)
        .execute(c))?;
    Ok(())
}
