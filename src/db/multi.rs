//! Teaches diesel's two-engine backend the column types of the kernel.

use diesel::deserialize::{self, FromSql};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::HasSqlType;

use super::conn::MultiBackend;
use crate::kernel::clock::Ts;
use crate::kernel::id::{
    EventId, InvitationId, InvoiceId, KeyId, MailId, OperationId, OperatorUserId, OverrideId, PaymentId,
    PersonId, PlanVersionId, ReplicaId, SessionId, SignupId, SubscriptionId, TenantId, UserId,
    WebhookDeliveryId, WebhookEndpointId,
};
use crate::kernel::sql::{Json, SqlId, SqlJson, SqlTs};

macro_rules! on_both {
    ($($sql:ident: $($name:ty),+;)+) => {$(
        impl HasSqlType<$sql> for MultiBackend {
            fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
                Self::lookup_sql_type::<$sql>(lookup)
            }
        }
        $(
            impl ToSql<$sql, MultiBackend> for $name {
                fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
                    out.set_value(($sql, self));
                    Ok(IsNull::No)
                }
            }
            impl FromSql<$sql, MultiBackend> for $name {
                fn from_sql(value: <MultiBackend as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                    value.from_sql::<Self, $sql>()
                }
            }
        )+
    )+};
}

on_both! {
    SqlTs: Ts;
    SqlJson: Json;
    SqlId: TenantId, UserId, KeyId, OperationId, EventId, SignupId, SessionId, ReplicaId, OperatorUserId, PersonId,
        InvitationId, MailId, OverrideId, PlanVersionId, SubscriptionId, InvoiceId, PaymentId, WebhookEndpointId, WebhookDeliveryId;
}
