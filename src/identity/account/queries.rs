//! Reading one's own account.

use serde::Serialize;

use super::store;
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::{Caller, Verb};
use crate::identity::store::memberships_of;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{TenantId, UserId};
use crate::tenants::{self, Handle, State};

/// A person, as they see themselves.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// Their id.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// Since when they have an account.
    pub created_at: Ts,
    /// Where they belong, oldest first.
    pub memberships: Vec<Belonging>,
}

/// One membership of a person.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Belonging {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// What the person may do there.
    pub role: TenantRole,
    /// Since when they belong to it.
    pub created_at: Ts,
}

/// The caller's account.
///
/// # Errors
/// As [`Caller::may`].
pub async fn me(app: &App, caller: &Caller) -> Result<Me> {
    let (id, _) = caller.person(Verb::OwnAccount)?;
    app.db
        .read(move |conn| {
            let user = store::user(conn, id)?;
            let mut memberships = Vec::new();
            for membership in memberships_of(conn, id)? {
                let tenant = tenants::get_in(conn, &Handle::Id(membership.tenant_id))?;
                memberships.push(Belonging {
                    tenant_id: tenant.id,
                    slug: tenant.slug,
                    name: tenant.name,
                    state: tenant.state,
                    role: membership.role,
                    created_at: membership.created_at,
                });
            }
            Ok(Me { id, email: user.email, created_at: user.created_at, memberships })
        })
        .await
}
