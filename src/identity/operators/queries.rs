//! Reading operators.

use super::model::Operator;
use super::store;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::OperatorUserId;
use crate::kernel::page::{Page, PageRequest};

/// A page of operators, newest first.
///
/// # Errors
/// As [`Caller::may`].
pub async fn list(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<Operator>> {
    caller.may(Verb::ReadOperators)?;
    app.db.read(move |conn| store::page(conn, request)).await
}

/// One operator.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`].
pub async fn get(app: &App, caller: &Caller, id: OperatorUserId) -> Result<Operator> {
    caller.may(Verb::ReadOperators)?;
    let found = app.db.read(move |conn| store::find(conn, id)).await?;
    found.map(|row| row.view()).ok_or(Error::NotFound("operator"))
}
