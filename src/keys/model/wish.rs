//! What is asked of a new key, and of one that is to change: every fault at once, then the outcome.

use std::collections::{BTreeMap, BTreeSet};

use super::{Environment, Key, Standing, grant};
use crate::auth::caller::OperatorRole;
use crate::auth::scope::{Scope, ScopeKind};
use crate::auth::secret_key::{KeyKind, NewKey};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::gcra::Rate;
use crate::kernel::id::TenantId;

/// The most notes that a key carries.
pub const NOTES: usize = 50;
/// The longest name of a note, in characters.
pub const NOTE_NAME: usize = 64;
/// The longest text of a note, in characters.
pub const NOTE_TEXT: usize = 500;
/// All notes of a key together, in bytes of names and texts.
pub const NOTES_BYTES: usize = 8 * 1024;

/// What a new key shall be.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What its maker calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The role of an operator key.
    pub role: Option<OperatorRole>,
    /// When it ends by itself.
    pub expires_at: Option<Ts>,
    /// A limit of its own.
    pub rate_limit: Option<Rate>,
    /// What it is for; real use when absent.
    pub environment: Option<Environment>,
    /// Notes about it.
    pub metadata: BTreeMap<String, String>,
}

/// What changes; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another name.
    pub name: Option<String>,
    /// Other scopes, in the place of all before.
    pub scopes: Option<Vec<Scope>>,
    /// Another role.
    pub role: Option<OperatorRole>,
    /// Another end, or none.
    pub expires_at: Option<Option<Ts>>,
    /// Another limit of its own, or none.
    pub rate_limit: Option<Option<Rate>>,
    /// Other notes, in the place of all before.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
}

/// The scopes that a kind of key holds; an operator key has a role instead.
#[must_use]
pub fn scopes_of(kind: KeyKind) -> Option<ScopeKind> {
    match kind {
        KeyKind::Tenant => Some(ScopeKind::Tenant),
        KeyKind::Service => Some(ScopeKind::Service),
        KeyKind::Operator => None,
    }
}

fn verdict(faults: Vec<FieldError>) -> Result<()> {
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.into(), detail: detail.into() }
}

fn name_faults(name: &str) -> Option<FieldError> {
    name.trim().is_empty().then(|| fault("/name", "must not be blank"))
}

fn end_faults(ends: Option<Ts>, now: Ts) -> Option<FieldError> {
    ends.is_some_and(|ends| ends <= now).then(|| fault("/expires_at", "must be in the future"))
}

fn scope_faults(scopes: &[Scope], kind: ScopeKind) -> Vec<FieldError> {
    let all = || Scope::all_of(kind).into_iter().map(Scope::word).collect::<Vec<_>>().join(", ");
    if scopes.is_empty() {
        return vec![fault("/scopes", format!("name at least one of {}", all()))];
    }
    let misfits = scopes.iter().enumerate().filter(|(_, scope)| !scope.fits(kind));
    misfits
        .map(|(at, scope)| {
            fault(
                format!("/scopes/{at}"),
                format!("{scope} is not for this kind of key; it may hold {}", all()),
            )
        })
        .collect()
}

fn notes_faults(notes: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if notes.len() > NOTES {
        faults.push(fault("/metadata", format!("must have at most {NOTES} entries")));
    }
    if notes.iter().map(|(name, text)| name.len().saturating_add(text.len())).sum::<usize>() > NOTES_BYTES {
        faults.push(fault("/metadata", format!("must have at most {NOTES_BYTES} bytes in all")));
    }
    for (name, text) in notes {
        let at = || format!("/metadata/{}", name.replace('~', "~0").replace('/', "~1"));
        if !(1..=NOTE_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            faults.push(fault(at(), format!("its name must have 1 to {NOTE_NAME} printable characters")));
        }
        if text.chars().count() > NOTE_TEXT {
            faults.push(fault(at(), format!("must have at most {NOTE_TEXT} characters")));
        }
    }
    faults
}

impl Wanted {
    /// Whether it can be had as a key of `kind`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault.
    pub fn check(&self, kind: KeyKind, now: Ts) -> Result<()> {
        let mut faults: Vec<_> = name_faults(&self.name).into_iter().collect();
        if let Some(kind) = scopes_of(kind) {
            faults.extend(scope_faults(&self.scopes, kind));
        }
        faults.extend(end_faults(self.expires_at, now));
        faults.extend(notes_faults(&self.metadata));
        verdict(faults)
    }

    /// The environment it is for.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment.unwrap_or(Environment::Live)
    }

    /// The record of the new key.
    #[must_use]
    pub fn record(
        &self,
        new: &NewKey,
        kind: KeyKind,
        tenant: Option<TenantId>,
        created_by: &str,
        now: Ts,
    ) -> Key {
        Key {
            id: new.id,
            kind,
            tenant_id: tenant,
            name: self.name.trim().to_owned(),
            prefix: new.prefix.clone(),
            scopes: self.scopes.iter().copied().collect(),
            role: self.role,
            environment: self.environment(),
            metadata: self.metadata.clone(),
            rate_limit: self.rate_limit,
            created_by: created_by.to_owned(),
            created_at: now,
            expires_at: self.expires_at,
            revoked_at: None,
            disabled_at: None,
            last_used_at: None,
            successor_id: None,
            rev: 1,
        }
    }
}

impl Change {
    /// The key after the change.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault; [`Error::Conflict`] `wrong_state` for a revoked key, `already_rotated`
    /// when one that was replaced is to live longer.
    pub fn applied(&self, key: &Key, now: Ts) -> Result<Key> {
        let mut faults: Vec<_> = self.name.as_deref().and_then(name_faults).into_iter().collect();
        if let (Some(scopes), Some(kind)) = (&self.scopes, scopes_of(key.kind)) {
            faults.extend(scope_faults(scopes, kind));
        }
        faults.extend(self.expires_at.and_then(|ends| end_faults(ends, now)));
        faults.extend(self.metadata.as_ref().map(notes_faults).unwrap_or_default());
        verdict(faults)?;
        if key.standing(now) == Standing::Revoked {
            return Err(Error::conflict("wrong_state", "the key was revoked, which is for good"));
        }
        let disabled_at = match self.disabled {
            None => key.disabled_at,
            Some(false) => None,
            Some(true) => key.disabled_at.or(Some(now)),
        };
        let after = Key {
            name: self.name.as_ref().map_or_else(|| key.name.clone(), |name| name.trim().to_owned()),
            scopes: self
                .scopes
                .as_ref()
                .map_or_else(|| key.scopes.clone(), |all| all.iter().copied().collect()),
            role: self.role.or(key.role),
            expires_at: self.expires_at.unwrap_or(key.expires_at),
            rate_limit: self.rate_limit.unwrap_or(key.rate_limit),
            metadata: self.metadata.clone().unwrap_or_else(|| key.metadata.clone()),
            disabled_at,
            ..key.clone()
        };
        if let Some(successor) = key.successor_id {
            let ends = Key { expires_at: after.expires_at, ..key.clone() };
            if grant::strengthens(key, &ends) {
                return Err(Error::conflict(
                    "already_rotated",
                    format!("{successor} has taken the place of this key, which can only end sooner"),
                ));
            }
        }
        Ok(after)
    }
}

/// The names of what differs, as the API has them.
#[must_use]
pub fn changed(before: &Key, after: &Key) -> BTreeSet<&'static str> {
    let all = [
        ("name", before.name != after.name),
        ("scopes", before.scopes != after.scopes),
        ("role", before.role != after.role),
        ("expires_at", before.expires_at != after.expires_at),
        ("rate_limit", before.rate_limit != after.rate_limit),
        ("metadata", before.metadata != after.metadata),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Whether the change takes something from what an admin's key can do, now or later.
#[must_use]
pub fn weakens_admin(before: &Key, after: &Key, now: Ts) -> bool {
    let sooner = match (before.expires_at, after.expires_at) {
        (Some(before), Some(after)) => after < before,
        (before, after) => before.is_none() && after.is_some(),
    };
    before.is_good_admin(now) && (!after.is_good_admin(now) || sooner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::secret_key;

    fn now() -> Ts {
        "2030-01-31T12:00:00Z".parse().unwrap()
    }

    fn later(seconds: u64) -> Ts {
        now().plus(Duration::from_secs(seconds))
    }

    fn key() -> Key {
        let new = secret_key::generate(KeyKind::Tenant, Environment::Test);
        let wanted = Wanted {
            name: " one ".into(),
            scopes: vec![Scope::DataRead, Scope::KeysManage],
            expires_at: Some(later(100)),
            rate_limit: Some(Rate { requests_per_s: 5, burst: 9 }),
            environment: Some(Environment::Test),
            metadata: BTreeMap::from([("team".into(), "blue".into())]),
            ..Wanted::default()
        };
        wanted.check(KeyKind::Tenant, now()).unwrap();
        wanted.record(&new, KeyKind::Tenant, Some(TenantId::mint()), "user_x", now())
    }

    fn pointers(result: Result<()>) -> Vec<String> {
        match result {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn notes_are_few_short_and_small() {
        let with = |metadata: BTreeMap<String, String>| Wanted {
            name: "x".into(),
            scopes: vec![Scope::DataRead],
            metadata,
            ..Wanted::default()
        };
        let many =
            |count: usize, text: &str| (0..count).map(|at| (format!("n{at}"), text.to_owned())).collect();
        with(many(50, "short")).check(KeyKind::Tenant, now()).unwrap();
        with(many(16, &"é".repeat(250))).check(KeyKind::Tenant, now()).unwrap();
        for (metadata, at) in [
            (many(51, "short"), "/metadata"),
            (many(17, &"x".repeat(500)), "/metadata"),
            (BTreeMap::from([("a/b~".into(), "x".repeat(501))]), "/metadata/a~1b~0"),
            (BTreeMap::from([(String::new(), String::new())]), "/metadata/"),
            (BTreeMap::from([("\0".into(), String::new())]), "/metadata/\0"),
            (BTreeMap::from([("n".repeat(65), String::new())]), &format!("/metadata/{}", "n".repeat(65))),
        ] {
            assert_eq!(pointers(with(metadata).check(KeyKind::Tenant, now())), [at]);
        }
    }

    #[test]
    fn what_a_change_does_not_name_stays() {
        let key = key();
        assert_eq!(Change::default().applied(&key, now()).unwrap(), key);
        let change = Change { expires_at: Some(None), rate_limit: Some(None), ..Change::default() };
        let after = change.applied(&key, now()).unwrap();
        assert_eq!(after, Key { expires_at: None, rate_limit: None, ..key.clone() });
        assert_eq!(changed(&key, &after), BTreeSet::from(["expires_at", "rate_limit"]));
        let off = Change { disabled: Some(true), ..Change::default() };
        let disabled = off.applied(&key, later(1)).unwrap();
        assert_eq!(disabled.disabled_at, Some(later(1)));
        assert_eq!(
            off.applied(&disabled, later(2)).unwrap().disabled_at,
            Some(later(1)),
            "since when it is off"
        );
        assert!(changed(&key, &disabled).is_empty());
    }

    #[test]
    fn only_what_gives_power_strengthens() {
        let key = key();
        let by = |change: Change| grant::strengthens(&key, &change.applied(&key, now()).unwrap());
        let none = Change::default;
        assert!(!by(Change {
            name: Some("two".into()),
            metadata: Some(BTreeMap::new()),
            disabled: Some(true),
            ..none()
        }));
        assert!(!by(Change {
            scopes: Some(vec![Scope::DataRead]),
            expires_at: Some(Some(later(50))),
            ..none()
        }));
        assert!(!by(Change { rate_limit: Some(Some(Rate { requests_per_s: 5, burst: 1 })), ..none() }));
        assert!(by(Change { scopes: Some(vec![Scope::DataRead, Scope::DataWrite]), ..none() }));
        assert!(by(Change { expires_at: Some(Some(later(101))), ..none() }));
        assert!(by(Change { expires_at: Some(None), ..none() }));
        assert!(by(Change { rate_limit: Some(None), ..none() }));
        assert!(by(Change { rate_limit: Some(Some(Rate { requests_per_s: 1, burst: 10 })), ..none() }));
        let disabled = Key { disabled_at: Some(now()), ..key.clone() };
        assert!(grant::strengthens(&disabled, &key));
    }

    #[test]
    fn a_rotation_passes_on_every_setting_and_the_lifetime() {
        let key = key();
        let new = secret_key::generate(key.kind, key.environment);
        let at = later(40);
        let (next, old) = key.rotated(&new, "user_y", Duration::from_secs(10), at).unwrap();
        assert_eq!((old.successor_id, old.expires_at), (Some(next.id), Some(later(50))));
        let like = Key {
            id: next.id,
            prefix: new.prefix.clone(),
            created_by: "user_y".into(),
            created_at: at,
            expires_at: Some(later(140)),
            ..key.clone()
        };
        assert_eq!(next, like);
        let (_, old) = key.rotated(&new, "user_y", Duration::from_secs(1000), at).unwrap();
        assert_eq!(old.expires_at, key.expires_at, "its own end was sooner");
        let conflict = |key: &Key| match key.rotated(&new, "user_y", Duration::ZERO, at) {
            Err(Error::Conflict { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(conflict(&old), "already_rotated");
        assert_eq!(conflict(&key.revoked(at)), "wrong_state");
        assert_eq!(conflict(&Key { expires_at: Some(at), ..key.clone() }), "wrong_state");
        let longer = Change { expires_at: Some(None), ..Change::default() };
        assert!(matches!(longer.applied(&old, at), Err(Error::Conflict { code: "already_rotated", .. })));
        let sooner = Change { expires_at: Some(Some(later(41))), ..Change::default() };
        assert_eq!(sooner.applied(&old, at).unwrap().expires_at, Some(later(41)));
        assert!(key.counts(at) && next.counts(at) && !old.counts(at), "the place is handed on");
    }
}
