//! What a control plane calls its own things on a server. All carry a mark of the URL's database, so
//! that several control planes can share a server.

use sha2::{Digest, Sha256};

use crate::kernel::isolation::Isolation;

use crate::placement::app_schema::{AppSchema, hex};

/// The schema of the control plane's own tables, in the URL's database and in each tenant's.
pub(super) const OURS: &str = "tenantry";

/// The names of one control plane's group roles and templates.
#[derive(Clone, Debug)]
pub(super) struct Names {
    readable: String,
    mark: String,
}

impl Names {
    pub(super) fn of(database: &str) -> Self {
        let readable: String = database
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .take(24)
            .collect();
        let mark: String = hex(&Sha256::digest(database.as_bytes())).chars().take(8).collect();
        Self { readable: readable.to_lowercase(), mark }
    }

    /// The group of all tenants' roles of one model.
    pub(super) fn group(&self, isolation: Isolation) -> String {
        format!("tenantry_{}_{}_{isolation}", self.readable, self.mark)
    }

    /// What all templates of this control plane start with.
    pub(super) fn templates(&self) -> String {
        format!("tenantry_tpl_{}_", self.mark)
    }

    /// The finished template for `app`.
    pub(super) fn template(&self, app: &AppSchema) -> String {
        format!("{}{}", self.templates(), short(app))
    }

    /// What all templates under construction start with.
    pub(super) fn scaffolds(&self) -> String {
        format!("tenantry_new_{}_", self.mark)
    }

    /// The template for `app` while it is being built.
    pub(super) fn scaffold(&self, app: &AppSchema) -> String {
        format!("{}{}", self.scaffolds(), short(app))
    }
}

fn short(app: &AppSchema) -> String {
    app.version().chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_tell_planes_apart() {
        let (one, two) = (Names::of(&"x".repeat(63)), Names::of(&format!("{}y", "x".repeat(62))));
        for isolation in Isolation::ALL {
            assert!(one.group(isolation).len() <= 63);
            assert_ne!(one.group(isolation), two.group(isolation));
        }
    }
}
