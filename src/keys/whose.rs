//! Whose keys a call is about, and who may look at them, make them or stop them. Every command and query on
//! keys asks here on its first line.

use crate::auth::scope::ScopeKind;
use crate::auth::secret_key::KeyKind;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::tenants::{self, Handle, State, Tenant};

use super::model::wish;

/// Whose keys a call is about, as its path says.
#[derive(Debug, Clone)]
pub enum Whose {
    /// The caller's own tenant's.
    Own,
    /// Those of the tenant that an operator names.
    Of(Handle),
    /// The operator's services'.
    Services,
    /// The operators'.
    Operators,
}

/// What a caller wants of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// List and read.
    Read,
    /// Make, change and rotate.
    Manage,
    /// Revoke, and switch off and on.
    Stop,
}

/// The keys that a caller may act on: told by an authorised call alone.
#[derive(Debug, Clone)]
pub struct Drawer {
    /// Their kind.
    pub kind: KeyKind,
    tenant: Option<Handle>,
}

impl Whose {
    /// Authorises `act`.
    ///
    /// # Errors
    /// As [`Caller::may`] and [`Caller::tenant`].
    pub fn open(self, caller: &Caller, act: Act) -> Result<Drawer> {
        match self {
            Self::Own => {
                let tenant = caller.tenant(Verb::ManageKeys)?;
                Ok(Drawer { kind: KeyKind::Tenant, tenant: Some(Handle::Id(tenant)) })
            }
            Self::Of(tenant) => {
                caller.may(match act {
                    Act::Read => Verb::ReadTenantKeys,
                    Act::Manage => Verb::ManageTenantKeys,
                    Act::Stop => Verb::StopTenantKeys,
                })?;
                Ok(Drawer { kind: KeyKind::Tenant, tenant: Some(tenant) })
            }
            Self::Services => {
                caller.may(if act == Act::Read { Verb::ReadServiceKeys } else { Verb::ManageServiceKeys })?;
                Ok(Drawer { kind: KeyKind::Service, tenant: None })
            }
            Self::Operators => {
                caller.may(if act == Act::Read { Verb::ReadOperators } else { Verb::ManageOperators })?;
                Ok(Drawer { kind: KeyKind::Operator, tenant: None })
            }
        }
    }
}

impl Drawer {
    /// The scopes that its keys hold; `None` for operator keys.
    #[must_use]
    pub fn scopes(&self) -> Option<ScopeKind> {
        wish::scopes_of(self.kind)
    }

    /// The tenant whose keys these are.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn tenant_in(&self, conn: &mut Conn) -> Result<Option<Tenant>> {
        let tenant = self.tenant.as_ref().map(|handle| tenants::get_in(conn, handle)).transpose()?;
        if tenant.as_ref().is_some_and(|tenant| tenant.state == State::Deleted) {
            return Err(Error::NotFound("tenant"));
        }
        Ok(tenant)
    }

    /// Its id.
    ///
    /// # Errors
    /// As [`Drawer::tenant_in`].
    pub fn tenant_id_in(&self, conn: &mut Conn) -> Result<Option<TenantId>> {
        Ok(self.tenant_in(conn)?.map(|tenant| tenant.id))
    }
}

/// Refuses to give a key power while its tenant is stopped.
///
/// # Errors
/// [`Error::Forbidden`] `tenant_suspended`.
pub fn must_live(tenant: Option<&Tenant>) -> Result<()> {
    match tenant {
        Some(tenant) if !matches!(tenant.state, State::Active | State::Provisioning) => {
            Err(Error::forbidden("tenant_suspended", format!("the tenant is {}", tenant.state.word())))
        }
        _ => Ok(()),
    }
}
