//! Access tokens: short-lived JWTs signed with Ed25519 (`alg` EdDSA, pinned), and the public keys by which
//! any service checks them itself.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::store::{self, SigningKeyRow};
use crate::auth::Who;
use crate::auth::caller::TenantRole;
use crate::db::Db;
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{self, SessionId, TenantId, UserId};
use crate::kernel::vault::Vault;

const PURPOSE: &str = "signing_keys.private_key";
/// How far clocks may differ.
const LEEWAY_S: u64 = 30;

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the server's public URL.
    pub iss: String,
    /// The person.
    pub sub: UserId,
    /// Whom it is for: `auth.audience`.
    pub aud: String,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// The session.
    pub jti: SessionId,
    /// The tenant it is for.
    pub tenant_id: TenantId,
    /// The person's role there.
    pub role: TenantRole,
    /// The tenant's plan.
    pub plan: String,
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

/// Signs and checks access tokens.
pub struct Tokens {
    kid: String,
    signing: EncodingKey,
    checking: HashMap<String, DecodingKey>,
    published: Vec<Jwk>,
    issuer: String,
    audience: String,
}

impl Tokens {
    /// Reads the signing keys, making the first one when there is none.
    ///
    /// # Errors
    /// The store's; [`Error::Refused`] when a key was sealed under a master key that is not configured.
    pub async fn load(
        db: &Db,
        vault: &Vault,
        clock: &Clock,
        issuer: String,
        audience: String,
    ) -> Result<Self> {
        let (vault_again, now) = (vault.clone(), clock.now());
        let rows = db
            .write(move |conn| {
                let rows = store::signing_keys(conn)?;
                if !rows.is_empty() {
                    return Ok(rows);
                }
                let row = generate(&vault_again, now)?;
                store::insert_signing_key(conn, row.clone())?;
                Ok(vec![row])
            })
            .await?;
        let newest = rows.first().ok_or_else(|| Error::internal("no signing key"))?;
        // The first sealed thing that a start reads: here a wrong master key shows.
        let private = vault.open(PURPOSE, &newest.private_key).map_err(|error| {
            let why = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
            Error::refused("master_key", format!("the master key does not fit the control store: {why}"))
        })?;
        let mut checking = HashMap::new();
        let mut published = Vec::new();
        for row in &rows {
            let x = URL_SAFE_NO_PAD.encode(&row.public_key);
            let key = DecodingKey::from_ed_components(&x).map_err(Error::internal)?;
            checking.insert(row.kid.clone(), key);
            published.push(Jwk {
                kty: "OKP",
                crv: "Ed25519",
                alg: "EdDSA",
                usage: "sig",
                kid: row.kid.clone(),
                x,
            });
        }
        Ok(Self {
            kid: newest.kid.clone(),
            signing: EncodingKey::from_ed_der(&private),
            checking,
            published,
            issuer,
            audience,
        })
    }

    /// Who issues the tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom they are for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The public keys.
    #[must_use]
    pub fn published(&self) -> &[Jwk] {
        &self.published
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`Error::Internal`] when signing fails.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(Error::internal)
    }

    /// Checks a token: our key by `kid`, EdDSA alone, issuer, audience, and time.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], with the same words whatever is wrong but for an ended one.
    pub fn check(&self, token: &str, now: Ts) -> Result<Claims> {
        let bad = || Error::Unauthenticated("the access token is not valid here".into());
        let header = jsonwebtoken::decode_header(token).map_err(|_| bad())?;
        if header.alg != Algorithm::EdDSA {
            return Err(bad());
        }
        let key = header.kid.and_then(|kid| self.checking.get(&kid)).ok_or_else(bad)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "iat", "jti"]);
        validation.leeway = LEEWAY_S;
        // Time is checked below, by the clock that tests own.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|_| bad())?.claims;
        let leeway = i64::try_from(LEEWAY_S).unwrap_or(0);
        if claims.exp.saturating_add(leeway) < now.seconds() {
            return Err(Error::Unauthenticated("the access token has expired; sign in again".into()));
        }
        if claims.iat.saturating_sub(leeway) > now.seconds() {
            return Err(bad());
        }
        Ok(claims)
    }
}

impl From<Claims> for Who {
    fn from(claims: Claims) -> Self {
        Self::User { user: claims.sub, tenant: claims.tenant_id, role: claims.role, session: claims.jti }
    }
}

fn generate(vault: &Vault, now: Ts) -> Result<SigningKeyRow> {
    let key = SigningKey::from_bytes(&entropy::bytes());
    let private = key.to_pkcs8_der().map_err(Error::internal)?;
    Ok(SigningKeyRow {
        kid: id::encode(id::fresh()),
        private_key: vault.seal(PURPOSE, private.as_bytes())?,
        public_key: key.verifying_key().to_bytes().to_vec(),
        created_at: now,
    })
}
