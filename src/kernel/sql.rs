//! Column types that mean the same on both engines of the control store: ids, moments and JSON are
//! native (`uuid`, `timestamptz`, `jsonb`) on PostgreSQL and BLOB(16), INTEGER microseconds and TEXT
//! on SQLite. Enumerations are text on both, through [`words!`](crate::words).

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::data_types::PgTimestamp;
use diesel::pg::{Pg, PgValue};
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, SqlType, Text, Timestamptz};
use diesel::sqlite::Sqlite;
use serde::{Deserialize, Serialize};

use super::clock::Ts;

/// `uuid` or BLOB(16).
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
#[diesel(sqlite_type(name = "Binary"))]
pub struct SqlId;

/// `timestamptz` or INTEGER microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Long"))]
pub struct SqlTs;

/// `jsonb` or TEXT.
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(oid = 3802, array_oid = 3807))]
#[diesel(sqlite_type(name = "Text"))]
pub struct SqlJson;

/// A raw id as both engines store it. The typed ids of [`super::id`] wrap it.
pub(crate) mod raw_id {
    use super::*;

    pub(crate) fn from_pg(value: PgValue<'_>) -> deserialize::Result<uuid::Uuid> {
        uuid::Uuid::from_slice(value.as_bytes()).map_err(Into::into)
    }
    pub(crate) fn from_sqlite(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<uuid::Uuid> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        uuid::Uuid::from_slice(&bytes).map_err(Into::into)
    }
    pub(crate) fn to_pg(id: uuid::Uuid, out: &mut Output<'_, '_, Pg>) -> serialize::Result {
        use std::io::Write as _;
        out.write_all(id.as_bytes())?;
        Ok(IsNull::No)
    }
    pub(crate) fn to_sqlite(id: uuid::Uuid, out: &mut Output<'_, '_, Sqlite>) -> serialize::Result {
        out.set_value(id.as_bytes().to_vec());
        Ok(IsNull::No)
    }
}

impl ToSql<SqlTs, Pg> for Ts {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        // PostgreSQL counts from 2000-01-01.
        let stamp = PgTimestamp(self.micros().saturating_sub(946_684_800_000_000));
        ToSql::<Timestamptz, Pg>::to_sql(&stamp, &mut out.reborrow())
    }
}

impl FromSql<SqlTs, Pg> for Ts {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let PgTimestamp(micros) = <PgTimestamp as FromSql<Timestamptz, Pg>>::from_sql(value)?;
        Ts::from_micros(micros.saturating_add(946_684_800_000_000))
            .ok_or_else(|| "a moment out of range".into())
    }
}

impl ToSql<SqlTs, Sqlite> for Ts {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.micros());
        Ok(IsNull::No)
    }
}

impl FromSql<SqlTs, Sqlite> for Ts {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Sqlite>>::from_sql(value)?;
        Ts::from_micros(micros).ok_or_else(|| "a moment out of range".into())
    }
}

/// A JSON column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[serde(transparent)]
#[diesel(sql_type = SqlJson)]
pub struct Json(pub serde_json::Value);

impl ToSql<SqlJson, Pg> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        use std::io::Write as _;
        // jsonb's binary form: a version byte, then the text.
        out.write_all(&[1])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

impl FromSql<SqlJson, Pg> for Json {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            [1, text @ ..] => Ok(Self(serde_json::from_slice(text)?)),
            _ => Err("an unknown jsonb version".into()),
        }
    }
}

impl ToSql<SqlJson, Sqlite> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(serde_json::to_string(&self.0)?);
        Ok(IsNull::No)
    }
}

impl FromSql<SqlJson, Sqlite> for Json {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
        Ok(Self(serde_json::from_str(&text)?))
    }
}
