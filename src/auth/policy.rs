//! Who may do what: one table, one row a verb. A golden file in the tests shows the whole matrix, so
//! that a change of rights is seen in review as what it is.

use super::caller::{OperatorRole, TenantRole, Who};
use super::scope::{Scope, Scopes};
use crate::kernel::error::{Error, Result};

use OperatorRole::{Admin as OpAdmin, Support, Viewer as OpViewer};
use TenantRole::{Admin, Billing, Developer, Owner, Viewer};

/// One right.
#[derive(Debug)]
pub struct Rule {
    /// What it is about.
    pub verb: Verb,
    /// Operators that may.
    pub operators: &'static [OperatorRole],
    /// Members that may, inside their own tenant.
    pub members: &'static [TenantRole],
    /// The scope with which a tenant's API key may.
    pub tenant_scope: Option<Scope>,
    /// The scope with which a service key may.
    pub service_scope: Option<Scope>,
}

macro_rules! policy {
    ($($(#[$doc:meta])* $verb:ident: operators [$($op:ident)*], members [$($member:ident)*], key $key:expr, service $service:expr;)+) => {
        /// Something a caller may or may not do.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Verb { $($(#[$doc])* $verb),+ }

        /// The whole policy.
        pub const TABLE: &[Rule] = &[$(Rule {
            verb: Verb::$verb,
            operators: &[$($op),*],
            members: &[$($member),*],
            tenant_scope: $key,
            service_scope: $service,
        }),+];
    };
}

policy! {
    /// List and read any tenant.
    ReadTenants: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Create a tenant over the admin API.
    CreateTenants: operators [OpAdmin], members [], key None, service None;
    /// Change, suspend and resume any tenant.
    ManageTenants: operators [OpAdmin Support], members [], key None, service None;
    /// Delete and restore any tenant.
    DeleteTenants: operators [OpAdmin], members [], key None, service None;
    /// Change, cancel, resume and pause any tenant's subscription, and move its trial's end.
    ManageSubscriptions: operators [OpAdmin Support], members [], key None, service None;
    /// Load the catalogue again, and move tenants to the newest editions of their plans.
    ManagePlans: operators [OpAdmin], members [], key None, service None;
    /// See and move the clock of an installation that is under test.
    MoveClock: operators [OpAdmin], members [], key None, service None;
    /// List and read operations of all tenants.
    ReadOperations: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Retry a failed or waiting operation.
    RetryOperations: operators [OpAdmin Support], members [], key None, service None;
    /// Read the effective configuration, plans and clusters.
    ReadConfig: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// List and read any tenant's API keys.
    ReadTenantKeys: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Create an API key for any tenant.
    ManageTenantKeys: operators [OpAdmin], members [], key None, service None;
    /// Revoke any tenant's API keys, switch them off and on.
    StopTenantKeys: operators [OpAdmin Support], members [], key None, service None;
    /// List service keys.
    ReadServiceKeys: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Create, change, rotate and revoke service keys.
    ManageServiceKeys: operators [OpAdmin], members [], key None, service None;
    /// List operators: keys and people.
    ReadOperators: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Make, change, rotate and remove operators: keys and people.
    ManageOperators: operators [OpAdmin], members [], key None, service None;
    /// Read the event log of all tenants.
    ReadEvents: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Follow the events of one's own tenant.
    ReadOwnEvents: operators [], members [Owner Admin Developer], key Some(Scope::EventsRead), service None;
    /// Read and prove the audit trail of all tenants and of the installation.
    ReadAudit: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Read the audit trail of one's own tenant.
    ReadOwnAudit: operators [], members [Owner Admin], key Some(Scope::AuditRead), service None;
    /// List and read invoices of all tenants, and how their billing stands.
    ReadInvoices: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Mark invoices paid or void, hand a tenant over to the billing provider.
    ManageInvoices: operators [OpAdmin], members [], key None, service None;
    /// List and read the invoices of one's own tenant.
    ReadOwnInvoices: operators [], members [Owner Admin Billing], key Some(Scope::TenantManage), service None;
    /// Read one's own tenant, its placement and its operations.
    ReadTenant: operators [], members [Owner Admin Developer Billing Viewer], key Some(Scope::TenantRead), service None;
    /// Change one's own tenant.
    ManageTenant: operators [], members [Owner Admin], key Some(Scope::TenantManage), service None;
    /// Change, cancel and resume one's own tenant's subscription.
    ManageSubscription: operators [], members [Owner Admin Billing], key Some(Scope::TenantManage), service None;
    /// Delete one's own tenant.
    DeleteTenant: operators [], members [Owner], key Some(Scope::TenantManage), service None;
    /// Read through the data door.
    ReadData: operators [], members [Owner Admin Developer Viewer], key Some(Scope::DataRead), service None;
    /// Write through the data door.
    WriteData: operators [], members [Owner Admin Developer], key Some(Scope::DataWrite), service None;
    /// Create, list, change, rotate and revoke one's tenant's API keys.
    ManageKeys: operators [], members [Owner Admin Developer], key Some(Scope::KeysManage), service None;
    /// See who belongs to one's own tenant.
    ReadMembers: operators [], members [Owner Admin Developer Billing Viewer], key Some(Scope::MembersManage), service None;
    /// Invite, change and remove members of one's own tenant, up to one's own role.
    ManageMembers: operators [], members [Owner Admin], key Some(Scope::MembersManage), service None;
    /// Hand one's own tenant over.
    TransferOwnership: operators [], members [Owner], key None, service None;
    /// Leave a tenant.
    LeaveTenant: operators [], members [Owner Admin Developer Billing Viewer], key None, service None;
    /// Read and change one's own account.
    OwnAccount: operators [], members [Owner Admin Developer Billing Viewer], key None, service None;
    /// List the keys that sign access tokens.
    ReadSigningKeys: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Rotate and retire the keys that sign access tokens.
    ManageSigningKeys: operators [OpAdmin], members [], key None, service None;
    /// Act inside a tenant in a member's stead, for a while.
    Impersonate: operators [OpAdmin Support], members [], key None, service None;
    /// End one's own session as an operator, and keep one's own second factor.
    ManageOwnOperator: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// List and end the sessions of one's whole tenant.
    ManageSessions: operators [], members [Owner Admin], key None, service None;
    /// List one's own sessions and end them.
    ManageOwnSessions: operators [], members [Owner Admin Developer Billing Viewer], key None, service None;
    /// Set up and remove one's own second factor.
    ManageOwnFactors: operators [], members [Owner Admin Developer Billing Viewer], key None, service None;
    /// End the session of the token in hand.
    EndSession: operators [], members [Owner Admin Developer Billing Viewer], key None, service None;
    /// Verify a tenant's API key.
    VerifyKeys: operators [], members [], key None, service Some(Scope::KeysVerify);
    /// Grant a tenant features beside its plan, and take them away.
    ManageEntitlements: operators [OpAdmin Support], members [], key None, service None;
    /// Check what a tenant may do, and take from its quotas.
    CheckEntitlements: operators [], members [], key None, service Some(Scope::EntitlementsCheck);
    /// Send usage events.
    WriteUsage: operators [], members [Owner Admin Developer], key Some(Scope::UsageWrite), service Some(Scope::UsageWrite);
    /// See, make, change and remove the webhook endpoints of one's own tenant, and send events again.
    ManageWebhooks: operators [], members [Owner Admin Developer], key Some(Scope::WebhooksManage), service None;
    /// See webhook endpoints and deliveries of all tenants.
    ReadWebhooks: operators [OpAdmin Support OpViewer], members [], key None, service None;
    /// Send any tenant's events to its webhook endpoint again.
    ReplayWebhooks: operators [OpAdmin Support], members [], key None, service None;
    /// Build read models anew; let those who follow the log stand still, and go on.
    RebuildProjections: operators [OpAdmin], members [], key None, service None;
    /// Ask where a tenant lives.
    ReadRoutes: operators [], members [], key None, service Some(Scope::RoutesRead);
    /// Receive a tenant's database credentials.
    ReadRouteCredentials: operators [], members [], key None, service Some(Scope::RoutesCredentials);
}

/// What an operator in a member's stead may do, when that member may: nothing that outlasts the visit or
/// concerns the member in person. A new verb is not among it until it is written here.
pub const IN_STEAD: &[Verb] =
    &[Verb::ReadTenant, Verb::ManageTenant, Verb::ReadData, Verb::WriteData, Verb::EndSession];

fn rule(verb: Verb) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| rule.verb == verb)
}

/// Whether `who` may do `verb`.
///
/// # Errors
/// As [`super::Caller::may`].
pub fn check(who: &Who, verb: Verb) -> Result<()> {
    let Some(rule) = rule(verb) else { return Err(Error::internal(format!("{verb:?} has no rule"))) };
    let role = || Error::forbidden("insufficient_role", "your role does not allow this");
    match who {
        Who::System(_) => Ok(()),
        Who::Anonymous => {
            Err(Error::Unauthenticated("this call needs a credential: send Authorization: Bearer …".into()))
        }
        Who::Operator { role: held, .. } | Who::OperatorUser { role: held, .. } => {
            held_or(rule.operators, held, role, rule)
        }
        Who::Impersonator { .. } if !rule.members.is_empty() && !IN_STEAD.contains(&verb) => {
            Err(Error::forbidden(
                "not_in_stead",
                "an operator may not do this in a member's stead: the member must do it in person",
            ))
        }
        Who::Impersonator { role: held, .. } => held_or(rule.members, held, role, rule),
        Who::User { role: held, .. } => held_or(rule.members, held, role, rule),
        Who::TenantKey { scopes, .. } => scoped(rule.tenant_scope, *scopes, rule),
        Who::Service { scopes, .. } => scoped(rule.service_scope, *scopes, rule),
    }
}

fn held_or<R: PartialEq>(allowed: &[R], held: &R, role: impl Fn() -> Error, rule: &Rule) -> Result<()> {
    if allowed.contains(held) {
        Ok(())
    } else if allowed.is_empty() {
        Err(wrong_kind(rule))
    } else {
        Err(role())
    }
}

fn scoped(needed: Option<Scope>, held: Scopes, rule: &Rule) -> Result<()> {
    match needed {
        Some(scope) if held.contains(&scope) => Ok(()),
        Some(scope) => {
            Err(Error::forbidden("insufficient_scope", format!("this key lacks the scope {scope}")))
        }
        None => Err(wrong_kind(rule)),
    }
}

fn wrong_kind(rule: &Rule) -> Error {
    let mut takes = Vec::new();
    if !rule.operators.is_empty() {
        takes.push("an operator's key or access token".to_owned());
    }
    if !rule.members.is_empty() {
        takes.push("a member's access token".to_owned());
    }
    if let Some(scope) = rule.tenant_scope {
        takes.push(format!("a tenant API key with {scope}"));
    }
    if let Some(scope) = rule.service_scope {
        takes.push(format!("a service key with {scope}"));
    }
    Error::forbidden(
        "wrong_credential",
        format!("this credential is of the wrong kind: the call takes {}", takes.join(" or ")),
    )
}

/// The policy as a table of text, one line a verb: for the golden file and for people.
#[must_use]
pub fn matrix() -> String {
    let mut out = String::from(
        "verb | operator admin support viewer | member owner admin developer billing viewer | in stead | tenant key | service key\n",
    );
    for rule in TABLE {
        let mark = |yes: bool| if yes { "yes" } else { "-" };
        let operators: Vec<_> =
            OperatorRole::ALL.iter().map(|role| mark(rule.operators.contains(role))).collect();
        let members: Vec<_> = TenantRole::ALL.iter().map(|role| mark(rule.members.contains(role))).collect();
        out.push_str(&format!(
            "{:?} | {} | {} | {} | {} | {}\n",
            rule.verb,
            operators.join(" "),
            members.join(" "),
            mark(IN_STEAD.contains(&rule.verb)),
            rule.tenant_scope.map_or("-", Scope::word),
            rule.service_scope.map_or("-", Scope::word),
        ));
    }
    out
}
