//! What memory holds of a tenant: whether it may be served, where it lives, and how much it may ask. Made to be
//! small, so that hundreds of thousands fit: its own names are one text, the words that many tenants share are
//! held once, and the password of its role stays sealed until somebody signs in.

use std::sync::Arc;

use secrecy::SecretString;

use super::home::Home;
use super::place::{PlaceState, Placement};
use super::steps_run;
use crate::catalog::{Catalogue, PlanVersion};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::kernel::limits::Limit;
use crate::kernel::purse::Grip;
use crate::kernel::vault::Vault;
use crate::subscriptions::Standing;
use crate::subscriptions::overrides::{Grants, Rule};
use crate::tenants::{State, Tenant};

/// A tenant as the hot path knows it.
#[derive(Debug)]
pub struct Resident {
    /// Its id.
    pub id: TenantId,
    /// Where it stands.
    pub state: State,
    /// How its data is kept apart.
    pub isolation: Isolation,
    /// The edition of the plan it is on.
    pub version: Arc<PlanVersion>,
    /// How its subscription stands.
    pub standing: Standing,
    /// The cluster its data is on.
    pub cluster: Arc<str>,
    /// How much its keys may ask.
    pub limit: Limit,
    /// What it may do beside its plan, the latest first. Few tenants have any.
    overrides: Option<Box<[Rule]>>,
    /// What its keys may use of the quota that the verify call takes from; none when it takes from none.
    pub purse: Option<Grip>,
    /// The slug, then of its home the database, the schema and the role.
    names: Box<str>,
    slug_ends: u16,
    place: Option<Place>,
}

/// What a tenant has bought.
pub(super) struct Terms {
    pub(super) version: Arc<PlanVersion>,
    pub(super) standing: Standing,
    pub(super) limit: Limit,
    pub(super) overrides: Vec<Rule>,
    pub(super) purse: Option<Grip>,
}

#[derive(Debug)]
struct Place {
    state: PlaceState,
    isolation: Isolation,
    has_role: bool,
    database_ends: u16,
    schema_ends: u16,
    cluster: Arc<str>,
    generation: i64,
    password: Option<Box<[u8]>>,
}

/// A tenant's home that is ready.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// The database's name; on SQLite the file's name.
    pub database: &'a str,
    /// The schema that holds its tables.
    pub schema: &'a str,
    /// The role to sign in as; none on SQLite.
    pub role: Option<&'a str>,
    /// The cluster.
    pub cluster: &'a str,
    /// Raised by every move.
    pub generation: i64,
    tenant: TenantId,
    isolation: Isolation,
    password: Option<&'a [u8]>,
}

impl Placed<'_> {
    /// The home by its names.
    #[must_use]
    pub fn home(&self) -> Home {
        Home {
            tenant: self.tenant,
            isolation: self.isolation,
            database: self.database.to_owned(),
            schema: self.schema.to_owned(),
            role: self.role.map(ToOwned::to_owned),
        }
    }

    /// The password of its role; empty on SQLite, which has none.
    ///
    /// # Errors
    /// [`Error::Internal`] when it was sealed under a key that is not configured.
    pub fn password(&self, vault: &Vault) -> Result<SecretString> {
        steps_run::unseal(vault, self.password)
    }
}

impl Resident {
    /// What to hold of a tenant; `word` answers the one copy of a word that many share.
    ///
    /// # Errors
    /// [`Error::Internal`] for names that are longer than any engine's.
    pub(super) fn new(
        tenant: &Tenant,
        placement: Option<Placement>,
        terms: Terms,
        word: impl Fn(&str) -> Arc<str>,
    ) -> Result<Self> {
        let end = |text: &str| u16::try_from(text.len()).map_err(|_| Error::internal("a name is too long"));
        let mut names = tenant.slug.clone();
        let slug_ends = end(&names)?;
        let place = match placement {
            None => None,
            Some(placement) => {
                let home = &placement.home;
                names.push_str(&home.database);
                let database_ends = end(&names)?;
                names.push_str(&home.schema);
                let schema_ends = end(&names)?;
                names.push_str(home.role.as_deref().unwrap_or(""));
                Some(Place {
                    state: placement.state,
                    isolation: home.isolation,
                    has_role: home.role.is_some(),
                    database_ends,
                    schema_ends,
                    cluster: word(&placement.cluster),
                    generation: placement.generation,
                    password: placement.password.map(Vec::into_boxed_slice),
                })
            }
        };
        Ok(Self {
            id: tenant.id,
            state: tenant.state,
            isolation: tenant.isolation,
            version: terms.version,
            standing: terms.standing,
            cluster: word(&tenant.cluster),
            limit: terms.limit,
            overrides: Some(terms.overrides.into_boxed_slice()).filter(|rules| !rules.is_empty()),
            purse: terms.purse,
            names: names.into_boxed_str(),
            slug_ends,
            place,
        })
    }

    fn name(&self, from: u16, to: Option<u16>) -> &str {
        let to = to.map_or(self.names.len(), usize::from);
        self.names.get(usize::from(from)..to).unwrap_or("")
    }

    /// All that says what it is granted; `catalogue` has what holds whatever the plan.
    #[must_use]
    pub fn grants<'a>(&'a self, catalogue: &'a Catalogue) -> Grants<'a> {
        Grants {
            overrides: self.overrides.as_deref().unwrap_or_default(),
            plan: &self.version.plan.features,
            defaults: &catalogue.terms.features,
        }
    }

    /// Its slug.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.name(0, Some(self.slug_ends))
    }

    /// Raised by every move; 0 before there is a home.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.place.as_ref().map_or(0, |place| place.generation)
    }

    /// Its home, once that is ready.
    #[must_use]
    pub fn placed(&self) -> Option<Placed<'_>> {
        let place = self.place.as_ref().filter(|place| place.state == PlaceState::Assigned)?;
        Some(Placed {
            database: self.name(self.slug_ends, Some(place.database_ends)),
            schema: self.name(place.database_ends, Some(place.schema_ends)),
            role: place.has_role.then(|| self.name(place.schema_ends, None)),
            cluster: &place.cluster,
            generation: place.generation,
            tenant: self.id,
            isolation: place.isolation,
            password: place.password.as_deref(),
        })
    }

    /// The home of a tenant that may be served.
    ///
    /// # Errors
    /// [`Error::Forbidden`] `tenant_suspended` or `tenant_deleting`; [`Error::Conflict`] `tenant_provisioning`.
    pub fn served(&self) -> Result<Placed<'_>> {
        match self.state {
            State::Active => {}
            State::Provisioning => {
                return Err(Error::conflict(
                    "tenant_provisioning",
                    "the tenant's database is still being made; retry shortly",
                ));
            }
            State::Suspended => return Err(Error::forbidden("tenant_suspended", "the tenant is suspended")),
            State::Deleting => {
                return Err(Error::forbidden("tenant_deleting", "the tenant is being deleted"));
            }
            State::Deleted => return Err(Error::NotFound("tenant")),
        }
        self.placed().ok_or_else(|| Error::internal("an active tenant has no ready placement"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::plans_file::{DEFAULT_PLANS, parse};
    use crate::kernel::clock::Ts;
    use crate::kernel::gcra::Rate;
    use crate::kernel::id::PlanVersionId;
    use crate::kernel::limits::Buckets;

    fn terms() -> Terms {
        let plan = parse("plans.toml", DEFAULT_PLANS).unwrap().catalogue.plans.remove(0);
        let created_at = Ts::from_micros(0).unwrap();
        let version = PlanVersion { id: PlanVersionId::mint(), number: 1, created_at, plan };
        let limit = Buckets::default().limit(version.id.uuid(), Rate { requests_per_s: 1, burst: 1 });
        let (overrides, purse) = (Vec::new(), None);
        Terms { version: Arc::new(version), standing: Standing::Active, limit, overrides, purse }
    }

    #[test]
    fn a_resident_gives_its_names_back_whatever_they_are() {
        let at = Ts::from_micros(0).unwrap();
        let tenant = Tenant {
            id: TenantId::mint(),
            slug: "acme".into(),
            name: "Acme".into(),
            state: State::Active,
            plan: "free".into(),
            isolation: Isolation::Schema,
            cluster: "main".into(),
            region: None,
            created_at: at,
            updated_at: at,
            suspended_at: None,
            suspend_reason: None,
            delete_at: None,
            deleted_at: None,
            rev: 1,
        };
        let sqlite = Home::on_sqlite(tenant.id, Isolation::Database).unwrap();
        let homes = Isolation::ALL.map(|isolation| Home::on_postgres(tenant.id, isolation, "plane"));
        for home in homes.into_iter().chain([sqlite]) {
            let placement = Placement {
                home: home.clone(),
                cluster: "main".into(),
                state: PlaceState::Assigned,
                generation: 3,
                app_version: "1".into(),
                password: None,
                created_at: at,
            };
            let resident = Resident::new(&tenant, Some(placement), terms(), |text| text.into()).unwrap();
            let placed = resident.served().unwrap();
            assert_eq!((placed.home(), resident.slug(), placed.generation), (home, "acme", 3));
        }
        let homeless = Resident::new(&tenant, None, terms(), |text| text.into()).unwrap();
        assert_eq!((homeless.slug(), homeless.generation()), ("acme", 0));
        assert!(homeless.placed().is_none() && homeless.served().is_err());
    }
}
