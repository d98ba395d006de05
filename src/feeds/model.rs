//! What a reader of a feed sees.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::catalogue::{Audience, audience};
use crate::log::{Entry, Kinds, Narrow, Place, cloud};

/// An event as it goes out, written once for all who follow.
#[derive(Debug)]
pub struct Told {
    /// Where it stands.
    pub place: Place,
    /// Whose fact it is.
    pub tenant: Option<TenantId>,
    /// What happened.
    pub kind: String,
    json: Box<RawValue>,
}

impl Told {
    /// `entry`, from the installation at `source`.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written as JSON.
    pub fn of(source: &str, entry: &Entry) -> Result<Self> {
        let json = serde_json::value::to_raw_value(&cloud::event(source, entry)).map_err(Error::internal)?;
        Ok(Self { place: entry.place, tenant: entry.tenant, kind: entry.kind.clone(), json })
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.json.get().len() + self.kind.len() + 128
    }

    /// It as a server-sent event.
    pub fn write_frame(&self, to: &mut String) {
        to.push_str(&format!("id: {}\nevent: {}\ndata: ", self.place, self.kind));
        to.push_str(self.json.get());
        to.push_str("\n\n");
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// Which events of the log somebody sees.
#[derive(Debug, Clone)]
pub struct Lens {
    /// Only this tenant's; all when absent.
    pub tenant: Option<TenantId>,
    /// Only what is meant for tenants.
    pub as_tenant: bool,
    /// Only these kinds.
    pub kinds: Kinds,
}

impl Lens {
    /// Whether an event of this kind and tenant is seen.
    #[must_use]
    pub fn shows(&self, kind: &str, tenant: Option<TenantId>) -> bool {
        (self.tenant.is_none() || self.tenant == tenant)
            && (!self.as_tenant || audience(kind) == Audience::Tenant)
            && self.kinds.take(kind)
    }

    /// What to ask the store for.
    #[must_use]
    pub fn narrow(&self) -> Narrow {
        Narrow { tenant: self.tenant, kinds: self.kinds.clone(), ..Narrow::default() }
    }
}
