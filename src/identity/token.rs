//! Access tokens: short-lived JWTs signed with Ed25519 (`alg` EdDSA, pinned), and the public keys by which
//! any service checks them itself. When which key signs is the business of `signing::model`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::signing::commands::keep;
use super::signing::model::{self, Life, Standing};
use super::signing::store::{self, SigningKeyRow};
use crate::db::Db;
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{self, SessionId, TenantId};
use crate::kernel::vault::Vault;

const PURPOSE: &str = "signing_keys.private_key";
/// How far clocks may differ.
const LEEWAY_S: u64 = 30;
/// How often an unknown key's id may make us look into the store.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the server's public URL.
    pub iss: String,
    /// The person; in a member's stead, the member, or else the operator.
    pub sub: String,
    /// Whom it is for: `auth.audience`, or that with `-admin` for an operator's.
    pub aud: String,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// The token's own id.
    pub jti: String,
    /// The session.
    pub sid: SessionId,
    /// The person's role.
    pub role: String,
    /// The tenant it is for; none for an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// The tenant's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Who acts in the subject's stead (RFC 8693).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

/// Who acts in another's stead.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Actor {
    /// The operator.
    pub sub: String,
}

/// A public key as JWKS shows it (RFC 8037).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Jwk {
    /// `OKP`.
    pub kty: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// `EdDSA`.
    pub alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// The key's id, as in a token's header.
    pub kid: String,
    /// The public bytes, base64url.
    pub x: String,
}

struct Held {
    signing: EncodingKey,
    checking: DecodingKey,
    jwk: Jwk,
}

/// The keys, each with its moments at the same place.
#[derive(Default)]
struct Keys {
    lives: Vec<Life>,
    held: Vec<Held>,
}

impl Keys {
    fn open(vault: &Vault, rows: &[SigningKeyRow]) -> Result<Self> {
        let mut keys = Self::default();
        for row in rows {
            let private = vault.open(PURPOSE, &row.private_key)?;
            let x = URL_SAFE_NO_PAD.encode(&row.public_key);
            let checking = DecodingKey::from_ed_components(&x).map_err(Error::internal)?;
            let jwk = Jwk { kty: "OKP", crv: "Ed25519", alg: "EdDSA", usage: "sig", kid: row.kid.clone(), x };
            keys.lives.push(row.life());
            keys.held.push(Held { signing: EncodingKey::from_ed_der(&private), checking, jwk });
        }
        Ok(keys)
    }

    fn all(&self) -> impl Iterator<Item = (&Life, &Held)> {
        self.lives.iter().zip(&self.held)
    }

    fn published(&self, now: Ts) -> impl Iterator<Item = (&Life, &Held)> {
        self.all().filter(move |(life, _)| model::is_published(&self.lives, life, now))
    }
}

/// Signs and checks access tokens, from memory.
pub struct Tokens {
    keys: RwLock<Arc<Keys>>,
    looked: Mutex<Option<Instant>>,
    issuer: String,
    audience: String,
    admin_audience: String,
}

impl Tokens {
    /// Reads the signing keys, making the first one when there is none and the next one when it is due.
    ///
    /// # Errors
    /// The store's; [`Error::Refused`] when a key was sealed under a master key that is not configured.
    pub async fn load(
        db: &Db,
        vault: &Vault,
        clock: &Clock,
        rotation: Duration,
        issuer: String,
        audience: String,
    ) -> Result<Self> {
        keep(db, vault, clock.now(), rotation).await?;
        let tokens = Self {
            keys: RwLock::default(),
            looked: Mutex::new(None),
            issuer,
            admin_audience: format!("{audience}-admin"),
            audience,
        };
        let rows = db.read(store::all).await?;
        // The first sealed thing that a start reads: here a wrong master key shows.
        let keys = Keys::open(vault, &rows).map_err(|error| {
            let why = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
            Error::refused("master_key", format!("the master key does not fit the control store: {why}"))
        })?;
        *tokens.keys.write() = Arc::new(keys);
        Ok(tokens)
    }

    /// Reads the signing keys again.
    ///
    /// # Errors
    /// The store's.
    pub async fn reload(&self, db: &Db, vault: &Vault) -> Result<()> {
        let rows = db.read(store::all).await?;
        let keys = Keys::open(vault, &rows)?;
        *self.keys.write() = Arc::new(keys);
        Ok(())
    }

    /// Reads the signing keys again when `token` names one that is not known: another replica may have made
    /// it. No more often than every few seconds, whatever strangers send.
    ///
    /// # Errors
    /// The store's.
    pub async fn meet(&self, db: &Db, vault: &Vault, token: &str) -> Result<()> {
        let named = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        let Some(kid) = named.filter(|kid| id::decode(kid).is_some()) else { return Ok(()) };
        if self.keys().lives.iter().any(|life| life.kid == kid) {
            return Ok(());
        }
        {
            let mut looked = self.looked.lock();
            if looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
                return Ok(());
            }
            *looked = Some(Instant::now());
        }
        self.reload(db, vault).await
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read())
    }

    /// Who issues the tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom members' tokens are for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Whom operators' tokens are for.
    #[must_use]
    pub fn admin_audience(&self) -> &str {
        &self.admin_audience
    }

    /// The public keys of tokens that may be good at `now`, or will be.
    #[must_use]
    pub fn published(&self, now: Ts) -> Vec<Jwk> {
        self.keys().published(now).map(|(_, held)| held.jwk.clone()).collect()
    }

    /// Signs a token, with the key whose turn it is at `now`.
    ///
    /// # Errors
    /// [`Error::Internal`] when signing fails.
    pub fn sign(&self, claims: &Claims, now: Ts) -> Result<String> {
        let keys = self.keys();
        let turn = |life: &Life| model::standing(&keys.lives, life, now) == Standing::Signing;
        let signer = keys.all().find(|(life, _)| turn(life));
        let (life, held) = signer.ok_or_else(|| Error::internal("no key signs"))?;
        let header = Header { kid: Some(life.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &held.signing).map_err(Error::internal)
    }

    /// Checks a token: our key by `kid`, EdDSA alone, issuer, one of our two audiences, and time.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], with the same words whatever is wrong but for an ended one.
    pub fn check(&self, token: &str, now: Ts) -> Result<Claims> {
        let bad = || Error::Unauthenticated("the access token is not valid here".into());
        let header = jsonwebtoken::decode_header(token).map_err(|_| bad())?;
        if header.alg != Algorithm::EdDSA {
            return Err(bad());
        }
        let (keys, kid) = (self.keys(), header.kid.ok_or_else(bad)?);
        let (life, held) = keys.all().find(|(life, _)| life.kid == kid).ok_or_else(bad)?;
        if !model::is_published(&keys.lives, life, now) {
            return Err(bad());
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience, &self.admin_audience]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "iat", "jti"]);
        validation.leeway = LEEWAY_S;
        // Time is checked below, by the clock that tests own.
        validation.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &held.checking, &validation).map_err(|_| bad())?.claims;
        let leeway = i64::try_from(LEEWAY_S).unwrap_or(0);
        if claims.exp.saturating_add(leeway) < now.seconds() {
            return Err(Error::Unauthenticated("the access token has expired; sign in again".into()));
        }
        if claims.iat.saturating_sub(leeway) > now.seconds() {
            return Err(bad());
        }
        // An operator's token names no tenant, and any other names one: whatever does neither is not ours.
        if (claims.aud == self.admin_audience) == claims.tenant_id.is_some() {
            return Err(bad());
        }
        Ok(claims)
    }
}

/// A fresh key that will sign from `active_at` on.
///
/// # Errors
/// The vault's.
pub(super) fn generate(vault: &Vault, now: Ts, active_at: Ts) -> Result<SigningKeyRow> {
    let key = SigningKey::from_bytes(&entropy::bytes());
    let private = key.to_pkcs8_der().map_err(Error::internal)?;
    Ok(SigningKeyRow {
        kid: id::encode(id::fresh()),
        private_key: vault.seal(PURPOSE, private.as_bytes())?,
        public_key: key.verifying_key().to_bytes().to_vec(),
        created_at: now,
        active_at,
        retired_at: None,
    })
}
