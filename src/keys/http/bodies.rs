//! What is sent to the keys' endpoints.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Scope;
use crate::auth::caller::OperatorRole;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::gcra::Rate;
use crate::kernel::page::PageRequest;
use crate::keys::model::wish::{Change, Wanted};
use crate::keys::model::{Environment, Standing};
use crate::keys::store::Filter;

/// A new key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRequest {
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do: nothing that you may not do yourself.
    #[schema(max_items = 32)]
    scopes: Vec<Scope>,
    /// When it ends by itself; never when absent.
    expires_at: Option<Ts>,
    /// A limit of its own; the plan's counts as well.
    rate_limit: Option<Rate>,
    /// What it is for, which never changes; `live` when absent.
    environment: Option<Environment>,
    /// Notes about it: at most 50 names of 64 characters with texts of 500, 8 KiB in all. Nothing secret.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl From<KeyRequest> for Wanted {
    fn from(request: KeyRequest) -> Self {
        let KeyRequest { name, scopes, expires_at, rate_limit, environment, metadata } = request;
        Self { name, scopes, role: None, expires_at, rate_limit, environment, metadata }
    }
}

/// A new operator key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorKeyRequest {
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do.
    role: OperatorRole,
    /// When it ends by itself; never when absent.
    expires_at: Option<Ts>,
}

impl From<OperatorKeyRequest> for Wanted {
    fn from(request: OperatorKeyRequest) -> Self {
        let OperatorKeyRequest { name, role, expires_at } = request;
        Self { name, role: Some(role), expires_at, ..Self::default() }
    }
}

/// What to change of a key; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPatch {
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What it may do, in the place of all before.
    #[schema(max_items = 32)]
    scopes: Option<Vec<Scope>>,
    /// When it ends by itself; `null` for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Ts>)]
    expires_at: Option<Option<Ts>>,
    /// A limit of its own; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Rate>)]
    rate_limit: Option<Option<Rate>>,
    /// Notes about it, in the place of all before.
    metadata: Option<BTreeMap<String, String>>,
    /// Whether it is switched off.
    disabled: Option<bool>,
}

impl From<KeyPatch> for Change {
    fn from(patch: KeyPatch) -> Self {
        let KeyPatch { name, scopes, expires_at, rate_limit, metadata, disabled } = patch;
        Self { name, scopes, role: None, expires_at, rate_limit, metadata, disabled }
    }
}

/// What to change of an operator key; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorKeyPatch {
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What it may do.
    role: Option<OperatorRole>,
    /// When it ends by itself; `null` for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Ts>)]
    expires_at: Option<Option<Ts>>,
    /// Whether it is switched off.
    disabled: Option<bool>,
}

impl From<OperatorKeyPatch> for Change {
    fn from(patch: OperatorKeyPatch) -> Self {
        let OperatorKeyPatch { name, role, expires_at, disabled } = patch;
        Self { name, role, expires_at, disabled, ..Self::default() }
    }
}

/// A field that is there: `null` is a value, too.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Whether a key is switched off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySwitch {
    /// `true` switches it off, `false` on again.
    pub(super) disabled: bool,
}

/// How a key is rotated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// Seconds that the old key works on, at most 30 days; 0 ends it at once.
    #[schema(minimum = 0, maximum = 2_592_000)]
    overlap_s: u32,
}

impl Rotation {
    pub(super) fn overlap(&self) -> Duration {
        Duration::from_secs(u64::from(self.overlap_s))
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Part of a name, the beginning of a key's text (`tnt_live_…`), or a whole id.
    search: Option<String>,
    /// Only this state, as of now.
    state: Option<Standing>,
    /// Only this environment.
    environment: Option<Environment>,
    /// Only keys made by this person or key, by id.
    created_by: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListParams {
    pub(super) fn read(self) -> Result<(Filter, PageRequest)> {
        let request = PageRequest::parse(self.limit, self.cursor.as_deref())?;
        let filter = Filter {
            search: self.search.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
            state: self.state,
            environment: self.environment,
            created_by: self.created_by,
        };
        Ok((filter, request))
    }
}
