//! What a tenant's home is called. Every name follows from the tenant's id and the isolation model
//! alone, so each step can be repeated and each leftover traced to its tenant.
//!
//! The login role's name carries the model too: while a tenant moves between models within one
//! cluster, the old home keeps its own role, with its own `search_path`, until it is removed.

pub use crate::kernel::engine::Engine;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{self, TenantId};
use crate::kernel::isolation::Isolation;

/// The schema of the application in the `shared` and `database` models.
pub const APP_SCHEMA: &str = "app";

/// Where one tenant's data is, within one cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Home {
    /// Whose home it is.
    pub tenant: TenantId,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// The database's name; on SQLite the file's name within the cluster's directory.
    pub database: String,
    /// The schema that holds the application's tables.
    pub schema: String,
    /// The login role, where the engine has roles.
    pub role: Option<String>,
}

impl Home {
    /// The home of `tenant` on PostgreSQL; `url_database` is the database that the cluster's URL names.
    #[must_use]
    pub fn on_postgres(tenant: TenantId, isolation: Isolation, url_database: &str) -> Self {
        let own = own_name(tenant);
        let (database, schema) = match isolation {
            Isolation::Shared => (url_database.to_owned(), APP_SCHEMA.to_owned()),
            Isolation::Schema => (url_database.to_owned(), own.clone()),
            Isolation::Database => (own.clone(), APP_SCHEMA.to_owned()),
        };
        Self { tenant, isolation, database, schema, role: Some(format!("{own}_{isolation}")) }
    }

    /// The home of `tenant` on SQLite: a file of its own.
    ///
    /// # Errors
    /// `isolation_unsupported` for the models that SQLite cannot keep.
    pub fn on_sqlite(tenant: TenantId, isolation: Isolation) -> Result<Self> {
        if isolation != Isolation::Database {
            return Err(unsupported_on_sqlite(isolation));
        }
        Ok(Self {
            tenant,
            isolation,
            database: format!("{tenant}.db"),
            schema: "main".to_owned(),
            role: None,
        })
    }

    /// The login role's name.
    ///
    /// # Errors
    /// Internal when the home is on an engine without roles.
    pub fn role(&self) -> Result<&str> {
        self.role.as_deref().ok_or_else(|| Error::internal("this home has no login role"))
    }
}

/// Why SQLite refuses a model, and the way out.
#[must_use]
pub fn unsupported_on_sqlite(isolation: Isolation) -> Error {
    Error::refused(
        "isolation_unsupported",
        format!(
            "SQLite cannot keep tenants apart in the `{isolation}` model: it has no roles and no row-level \
             security. Use `database` (a file each), or a PostgreSQL cluster"
        ),
    )
}

/// The name of what belongs to `tenant` alone: `t_` and the 26 characters of its id.
#[must_use]
pub fn own_name(tenant: TenantId) -> String {
    format!("t_{}", id::encode(tenant.uuid()))
}

/// Whose schema or database `name` is; `None` when it is no tenant's.
#[must_use]
pub fn tenant_of(name: &str) -> Option<TenantId> {
    name.strip_prefix("t_").and_then(id::decode).map(TenantId::from_uuid)
}

/// Whose login role `name` is, and for which model; `None` when it is no tenant's.
#[must_use]
pub fn tenant_of_role(name: &str) -> Option<(TenantId, Isolation)> {
    let (own, model) = name.rsplit_once('_')?;
    Some((tenant_of(own)?, model.parse().ok()?))
}

/// Whose SQLite file `name` is; `None` when it is no tenant's.
#[must_use]
pub fn tenant_of_file(name: &str) -> Option<TenantId> {
    name.strip_suffix(".db").and_then(|id| id.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_tenant() {
        let tenant = TenantId::mint();
        for isolation in Isolation::ALL {
            let home = Home::on_postgres(tenant, isolation, "plane");
            assert_eq!(tenant_of_role(home.role().unwrap()), Some((tenant, isolation)));
            assert!(home.role().unwrap().len() < 63);
        }
        assert_eq!(
            tenant_of(&Home::on_postgres(tenant, Isolation::Database, "plane").database),
            Some(tenant)
        );
        assert_eq!(
            tenant_of_file(&Home::on_sqlite(tenant, Isolation::Database).unwrap().database),
            Some(tenant)
        );
        for other in ["t_", "postgres", "t_01h455vb4pex5vsknk084sn02", "tenantry", "t_x_shared"] {
            assert_eq!((tenant_of(other), tenant_of_role(other)), (None, None), "{other}");
        }
    }

    #[test]
    fn two_tenants_never_share_what_keeps_them_apart() {
        let (a, b) = (TenantId::mint(), TenantId::mint());
        for isolation in Isolation::ALL {
            let (one, two) =
                (Home::on_postgres(a, isolation, "plane"), Home::on_postgres(b, isolation, "plane"));
            assert_ne!(one.role, two.role);
            assert_eq!(
                isolation == Isolation::Shared,
                one.schema == two.schema && one.database == two.database
            );
        }
    }
}
