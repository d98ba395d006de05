//! The steps of building and of removing a home, by the names that operators see. Each is repeatable:
//! what is already there, or already gone, counts as done.

use std::str::FromStr;

use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;

use super::home::{Engine, Home};

macro_rules! steps {
    ($(#[$doc:meta])* $name:ident { $($(#[$step_doc:meta])* $step:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$step_doc])* $step,)+ }

        impl $name {
            /// The stable name shown to operators and stored with the operation.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$step => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$step),)+
                    other => Err(format!("`{other}` is no step of this kind")),
                }
            }
        }
    };
}

steps! {
    /// A step towards a usable home.
    BuildStep {
        /// The login role exists, with its password, limits and group.
        CreateRole = "create_role",
        /// The cluster's map knows whose role it is; from here on the inventory lists the home.
        Register = "register",
        /// The tenant's own schema exists.
        CreateSchema = "create_schema",
        /// The tenant's own database (or file) exists, copied from the template.
        CreateDatabase = "create_database",
        /// The tenant's role, and no other tenant's, may enter.
        GrantAccess = "grant_access",
        /// The application's migrations are all applied.
        ApplyMigrations = "apply_migrations",
        /// Signing in as the tenant works and shows the tenant's own tables, empty or not.
        VerifyAccess = "verify_access",
    }
}

steps! {
    /// A step towards no trace of a home.
    RemovalStep {
        /// Nobody can sign in as the tenant, and nobody still is.
        LockOut = "lock_out",
        /// The tenant's rows are gone from the shared tables.
        DeleteRows = "delete_rows",
        /// The tenant's schema is gone.
        DropSchema = "drop_schema",
        /// The tenant's database (or file) is gone.
        DropDatabase = "drop_database",
        /// The login role is gone, with everything it was granted.
        DropRole = "drop_role",
        /// The cluster's map has forgotten the tenant.
        Unregister = "unregister",
    }
}

impl BuildStep {
    /// The steps that build `home`, in order.
    #[must_use]
    pub fn of(engine: Engine, home: &Home) -> Vec<Self> {
        use BuildStep::*;
        match (engine, home.isolation) {
            (Engine::Sqlite, _) => vec![CreateDatabase, ApplyMigrations, VerifyAccess],
            (Engine::Postgres, Isolation::Shared) => vec![Register, CreateRole, VerifyAccess],
            (Engine::Postgres, Isolation::Schema) => {
                vec![Register, CreateRole, CreateSchema, GrantAccess, ApplyMigrations, VerifyAccess]
            }
            (Engine::Postgres, Isolation::Database) => {
                vec![Register, CreateRole, CreateDatabase, GrantAccess, ApplyMigrations, VerifyAccess]
            }
        }
    }
}

impl RemovalStep {
    /// The steps that remove `home`, in order.
    #[must_use]
    pub fn of(engine: Engine, home: &Home) -> Vec<Self> {
        use RemovalStep::*;
        match (engine, home.isolation) {
            (Engine::Sqlite, _) => vec![DropDatabase],
            (Engine::Postgres, Isolation::Shared) => vec![LockOut, DeleteRows, DropRole, Unregister],
            (Engine::Postgres, Isolation::Schema) => vec![LockOut, DropSchema, DropRole, Unregister],
            (Engine::Postgres, Isolation::Database) => vec![LockOut, DropDatabase, DropRole, Unregister],
        }
    }
}

/// Something of a tenant's that exists on a cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Found {
    /// Whose it is.
    pub tenant: TenantId,
    /// The model it belongs to.
    pub isolation: Isolation,
    /// Its name in the engine.
    pub name: String,
}

/// All that exists on a cluster for the tenants of this control plane.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Inventory {
    /// Login roles.
    pub roles: Vec<Found>,
    /// Schemas of the `schema` model.
    pub schemas: Vec<Found>,
    /// Databases (on SQLite: files) of the `database` model.
    pub databases: Vec<Found>,
    /// Entries of the map from role to tenant.
    pub registered: Vec<Found>,
    /// Files or databases that are being made right now, or that a crash left half-made.
    pub debris: Vec<String>,
}

impl Inventory {
    /// Whether nothing of any tenant is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none() && self.debris.is_empty()
    }

    /// Everything that belongs to a tenant.
    pub fn all(&self) -> impl Iterator<Item = &Found> {
        self.roles.iter().chain(&self.schemas).chain(&self.databases).chain(&self.registered)
    }

    /// Everything that belongs to `tenant`.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> Vec<&Found> {
        self.all().filter(|found| found.tenant == tenant).collect()
    }
}
