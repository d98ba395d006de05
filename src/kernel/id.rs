//! Ids: TypeIDs (`tenant_01k…`), that is a prefix, `_`, and a UUIDv7 in 26 characters of Crockford's
//! base 32 (github.com/jetify-com/typeid, spec v0.3). Sortable by creation, checked on parse, 16 bytes at rest.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sqlite::Sqlite;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sql::{SqlId, raw_id};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The 26 characters that stand for `id`.
#[must_use]
pub fn encode(id: Uuid) -> String {
    let mut text = String::with_capacity(26);
    write(id, &mut text);
    text
}

/// Writes what [`encode`] answers at the end of `text`.
pub fn write(id: Uuid, text: &mut String) {
    let value = id.as_u128();
    // Room for all at once: ids are written several times in an answer.
    text.reserve(26);
    text.extend((0u32..26).rev().filter_map(|digit| {
        let at = usize::try_from((value >> (digit * 5)) & 31).ok()?;
        ALPHABET.get(at).copied().map(char::from)
    }));
}

/// What a letter of the alphabet stands for. Ids are read in every request: no search.
fn digit(letter: u8) -> Option<u8> {
    let (first, value) = match letter {
        b'0'..=b'9' => (b'0', 0),
        b'a'..=b'h' => (b'a', 10),
        b'j'..=b'k' => (b'j', 18),
        b'm'..=b'n' => (b'm', 20),
        b'p'..=b't' => (b'p', 22),
        b'v'..=b'z' => (b'v', 27),
        _ => return None,
    };
    Some(letter - first + value)
}

/// Reads what [`encode`] wrote; `None` for any other text (wrong length, letter or overflow).
#[must_use]
pub fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    if bytes.len() != 26 || bytes.first().is_none_or(|first| !(b'0'..=b'7').contains(first)) {
        return None;
    }
    let mut value: u128 = 0;
    for byte in bytes {
        value = (value << 5) | u128::from(digit(*byte)?);
    }
    Some(Uuid::from_u128(value))
}

/// A fresh UUIDv7.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that mints ids")]
pub fn fresh() -> Uuid {
    Uuid::now_v7()
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AsExpression, FromSqlRow)]
        #[serde(try_from = "String", into = "String")]
        #[diesel(sql_type = SqlId)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind starts with, before the `_`.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id, later than all before it.
            #[must_use]
            pub fn mint() -> Self {
                Self(fresh())
            }

            /// The bare UUID, as tenants' databases hold it.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }

            /// Names a bare UUID.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(&encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or_else(|| concat!("not the id of a ", $what, ": those look like ", $prefix, "_01h455vb4pex5vsknk084sn02q").to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                let mut text = String::with_capacity($prefix.len() + 27);
                text.push_str(concat!($prefix, "_"));
                write(id.0, &mut text);
                text
            }
        }

        impl ToSql<SqlId, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                raw_id::to_pg(self.0, out)
            }
        }
        impl ToSql<SqlId, Sqlite> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                raw_id::to_sqlite(self.0, out)
            }
        }
        impl FromSql<SqlId, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                raw_id::from_pg(value).map(Self)
            }
        }
        impl FromSql<SqlId, Sqlite> for $name {
            fn from_sql(value: <Sqlite as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                raw_id::from_sqlite(value).map(Self)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                    .description(Some(concat!("Id of a ", $what)))
                    .into()
            }
        }
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

typed_id!(/// A tenant.
    TenantId, "tenant", "tenant");
typed_id!(/// A user: one person, whatever tenants they belong to.
    UserId, "user", "user");
typed_id!(/// A key of any kind: tenant, service or operator.
    KeyId, "key", "key");
typed_id!(/// A durable operation.
    OperationId, "op", "operation");
typed_id!(/// An event of the log.
    EventId, "evt", "event");
typed_id!(/// A signup.
    SignupId, "signup", "signup");
typed_id!(/// A signed-in session, the `sid` of its tokens.
    SessionId, "sess", "session");

typed_id!(/// An invitation to a tenant.
    InvitationId, "inv", "invitation");
typed_id!(/// An invoice to a tenant.
    InvoiceId, "invoice", "invoice");
typed_id!(/// A payment that came in for a tenant.
    PaymentId, "pay", "payment");
typed_id!(/// A mail that waits to be delivered.
    MailId, "mail", "mail");
typed_id!(/// An operator who is a person, with an address and a password.
    OperatorUserId, "oper", "operator");
typed_id!(/// A person of either kind, a member or an operator, as their second factors know them.
    PersonId, "person", "person");
typed_id!(/// A grant or a withdrawal that one tenant has beside its plan.
    OverrideId, "ovr", "entitlement override");

typed_id!(/// A version of a plan.
    PlanVersionId, "plan", "version of a plan");
typed_id!(/// A subscription.
    SubscriptionId, "sub", "subscription");

typed_id!(/// An endpoint of a tenant's that events are sent to.
    WebhookEndpointId, "whk", "webhook endpoint");
typed_id!(/// An event on its way to an endpoint.
    WebhookDeliveryId, "whd", "webhook delivery");

typed_id!(
    /// A process that serves, from its start to its end.
    ReplicaId,
    "replica",
    "replica"
);

impl From<UserId> for PersonId {
    fn from(user: UserId) -> Self {
        Self::from_uuid(user.uuid())
    }
}

impl From<OperatorUserId> for PersonId {
    fn from(operator: OperatorUserId) -> Self {
        Self::from_uuid(operator.uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_reads_and_writes_alike() {
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(encode(uuid), "01h455vb4pex5vsknk084sn02q");
        assert_eq!(decode("01h455vb4pex5vsknk084sn02q"), Some(uuid));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "01h455vb4pex5vsknk084sn02",
            "81h455vb4pex5vsknk084sn02q",
            "01h455vb4pex5vsknk084sn02u",
            "01H455VB4PEX5VSKNK084SN02Q",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert!("user_01h455vb4pex5vsknk084sn02q".parse::<TenantId>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn every_id_survives_its_text(raw: u128) {
            proptest::prop_assert_eq!(decode(&encode(Uuid::from_u128(raw))), Some(Uuid::from_u128(raw)));
        }
        #[test]
        fn no_text_breaks_the_reader(text: String) {
            if let Some(id) = decode(&text) { proptest::prop_assert_eq!(encode(id), text); }
        }
    }
}
