//! What happens to people: accounts, members, invitations, sessions, operators, and the keys of tokens. Other
//! replicas forget a person by `user_id` and a session by `session_id`.

use serde::Serialize;
use utoipa::ToSchema;

use super::invitations::model::Invitation;
use super::sessions::model::EndReason;
use crate::auth::caller::{OperatorRole, TenantRole};
use crate::facts;
use crate::kernel::clock::Ts;
use crate::kernel::id::{InvitationId, OperatorUserId, SessionId, UserId};

/// Who.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PersonFacts)]
pub struct Who {
    /// The person, a member or an operator.
    #[schema(example = "user_01h455vb4pex5vsknk084sn02q")]
    pub user_id: String,
}

/// A sign-in that was refused.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RefusalFacts)]
pub struct Refusal {
    /// The person, a member or an operator.
    #[schema(example = "user_01h455vb4pex5vsknk084sn02q")]
    pub user_id: String,
    /// What was wrong.
    #[schema(example = "password")]
    pub wrong: String,
}

/// A session that began.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SessionBeginFacts)]
pub struct Begun {
    /// The person, a member or an operator.
    #[schema(example = "user_01h455vb4pex5vsknk084sn02q")]
    pub user_id: String,
    /// The session.
    pub session_id: SessionId,
    /// What the client calls itself.
    #[schema(example = "curl/8.5.0")]
    pub user_agent: Option<String>,
}

/// A session that ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SessionEndFacts)]
pub struct Ended {
    /// The session.
    pub session_id: SessionId,
    /// Whose it was; null for a visit in no member's stead.
    #[schema(example = "user_01h455vb4pex5vsknk084sn02q")]
    pub user_id: Option<String>,
    /// Why.
    pub reason: EndReason,
    /// The operator of a visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
    pub operator: Option<String>,
}

/// Sessions that ended with a change of an account.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AccountFacts)]
pub struct Account {
    /// The person.
    pub user_id: UserId,
    /// How many sessions ended with it.
    pub sessions_ended: usize,
}

/// An invitation.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = InvitationFacts)]
pub struct Invited {
    /// The invitation.
    pub invitation_id: InvitationId,
    /// As what.
    pub role: TenantRole,
}

impl Invited {
    pub(super) fn of(one: &Invitation) -> Self {
        Self { invitation_id: one.id, role: one.role }
    }
}

/// A member who is none any more.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FormerMemberFacts)]
pub struct Former {
    /// The member.
    pub user_id: UserId,
    /// The role they had.
    pub role: TenantRole,
}

/// An operator and a role.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OperatorRoleFacts)]
pub struct Duty {
    /// The operator.
    pub user_id: OperatorUserId,
    /// Their role.
    pub role: OperatorRole,
}

/// An operator.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OperatorFacts)]
pub struct Officer {
    /// The operator.
    pub user_id: OperatorUserId,
}

facts! {
    /// Somebody signed in.
    SessionCreated = "session.created", Tenant (Begun)
    /// A session ended.
    SessionEnded = "session.ended", Tenant (Ended)
    /// Somebody gave a wrong proof for a known person.
    SessionRefused = "session.refused", Tenant (Refusal)
    /// An operator signed in.
    OperatorSessionCreated = "operator_session.created", Operator (Begun)
    /// An operator's session ended.
    OperatorSessionEnded = "operator_session.ended", Operator (Ended)
    /// Somebody gave a wrong proof for a known operator.
    OperatorSessionRefused = "operator_session.refused", Operator (Refusal)
    /// Somebody tried to sign in to nobody's account, or too often. What repeats is folded.
    SignInRefused = "sign_in.refused", Operator {
        /// Why.
        #[schema(example = "unknown_account")]
        pub why: String,
        /// The network that it came from.
        #[schema(example = "203.0.113.7")]
        pub party: String,
        /// How often, since the last such event.
        pub count: u64,
    }

    /// An operator entered a tenant.
    ImpersonationStarted = "impersonation.started", Tenant {
        /// The session of the visit.
        pub session_id: SessionId,
        /// The member in whose stead; null for nobody's.
        pub user_id: Option<UserId>,
        /// With which role.
        pub role: TenantRole,
        /// The operator.
        #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
        pub operator: String,
        /// Why.
        #[schema(example = "asked for help with an import")]
        pub reason: Option<String>,
        /// When it ends at the latest.
        pub ends_at: Ts,
    }

    /// An operator left a tenant.
    ImpersonationEnded = "impersonation.ended", Tenant (Ended)

    /// Somebody has another password.
    UserPasswordChanged = "user.password_changed", Tenant (Account)

    /// Somebody wants a new password by mail.
    UserPasswordResetRequested = "user.password_reset_requested", Tenant {
        /// The person.
        pub user_id: UserId,
    }

    /// Somebody wants another address, and has yet to confirm it.
    UserEmailChangeRequested = "user.email_change_requested", Tenant {
        /// The person.
        pub user_id: UserId,
    }

    /// Somebody has another address.
    UserEmailChanged = "user.email_changed", Tenant (Account)

    /// Somebody confirmed an authenticator.
    SecondFactorAdded = "second_factor.added", Tenant (Who)
    /// Somebody removed their authenticator.
    SecondFactorRemoved = "second_factor.removed", Tenant (Who)

    /// Somebody signed in with one of their recovery codes.
    SecondFactorRecoveryCodeUsed = "second_factor.recovery_code_used", Tenant {
        /// The person, a member or an operator.
        #[schema(example = "user_01h455vb4pex5vsknk084sn02q")]
        pub user_id: String,
        /// How many codes they have left.
        pub left: i64,
    }

    /// Somebody was invited to a tenant.
    InvitationCreated = "invitation.created", Tenant (Invited)
    /// An invitation was taken back.
    InvitationRevoked = "invitation.revoked", Tenant (Invited)
    /// An invitation was mailed once more.
    InvitationSentAgain = "invitation.sent_again", Tenant (Invited)

    /// Somebody joined a tenant.
    MemberJoined = "member.joined", Tenant {
        /// The member.
        pub user_id: UserId,
        /// As what.
        pub role: TenantRole,
        /// By which invitation.
        pub invitation_id: InvitationId,
    }

    /// A member has another role.
    MemberRoleChanged = "member.role_changed", Tenant {
        /// The member.
        pub user_id: UserId,
        /// The role they had.
        pub from: TenantRole,
        /// The role they have.
        pub to: TenantRole,
    }

    /// A member left.
    MemberLeft = "member.left", Tenant (Former)
    /// A member was removed.
    MemberRemoved = "member.removed", Tenant (Former)

    /// A tenant was handed over to another owner.
    TenantOwnershipTransferred = "tenant.ownership_transferred", Tenant {
        /// The new owner.
        pub user_id: UserId,
        /// The old one.
        pub from_user_id: UserId,
    }

    /// An operator was added.
    OperatorCreated = "operator.created", Operator (Duty)
    /// An operator was removed.
    OperatorRemoved = "operator.removed", Operator (Duty)
    /// An operator got a new token to set a password.
    OperatorSetupRenewed = "operator.setup_renewed", Operator (Officer)
    /// An operator set a password.
    OperatorPasswordSet = "operator.password_set", Operator (Officer)

    /// An operator has another role, or was switched off or on.
    OperatorUpdated = "operator.updated", Operator {
        /// The operator.
        pub user_id: OperatorUserId,
        /// Their role.
        pub role: OperatorRole,
        /// Whether they are switched off.
        pub disabled: bool,
    }

    /// A key that signs access tokens was made.
    SigningKeyCreated = "signing_key.created", Operator {
        /// The key's name in tokens.
        #[schema(example = "2030-01-31")]
        pub kid: String,
        /// From when on it signs.
        pub active_at: Ts,
    }

    /// A key that signs access tokens was retired: what it signed is refused.
    SigningKeyRetired = "signing_key.retired", Operator {
        /// The key's name in tokens.
        #[schema(example = "2030-01-31")]
        pub kid: String,
    }
}
