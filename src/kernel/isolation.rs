//! The three isolation models, as words. What each needs of an engine lives in `placement`.

crate::words! {
    /// How a tenant's data is kept apart from every other tenant's.
    Isolation as "Isolation", "isolation model" {
        /// One schema for all; forced row-level security keyed on the tenant's login role.
        Shared = "shared",
        /// A schema each in one database.
        Schema = "schema",
        /// A database each (on SQLite: a file each).
        Database = "database",
    }
}
