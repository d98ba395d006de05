//! Signing in, and tokens that others can check and nobody can forge.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use tenantry::auth::caller::TenantRole;
use tenantry::db::{Db, Options};
use tenantry::identity::token::{Claims, Tokens};
use tenantry::kernel::clock::Clock;
use tenantry::kernel::vault::{MasterKey, Vault};

use crate::world::server::{Answer, PASSWORD, Server, Starting};

async fn sign_in(server: &Server, body: Value) -> Answer {
    server.nobody().post("/v1/sessions", body).await
}

async fn token(server: &Server) -> String {
    server.settle("Acme").await;
    let session = sign_in(server, json!({ "email": "owner@acme.example", "password": PASSWORD })).await;
    session.expect(200)["access_token"].as_str().unwrap().to_owned()
}

fn part(token: &str, at: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

fn sealed(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn a_token_says_who_where_and_how_long_and_others_can_check_it() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let session =
        sign_in(&server, json!({ "email": " OWNER@acme.example", "password": PASSWORD })).await.expect(200);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!((&session["tenant"]["id"], &session["tenant"]["slug"]), (&json!(acme.id), &json!("acme")));
    let token = session["access_token"].as_str().unwrap();
    let (header, claims) = (part(token, 0), part(token, 1));
    let keys = server.nobody().get("/.well-known/jwks.json").await.expect(200);
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("JWT")));
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
    );
    assert!(key.get("d").is_none(), "the private half stays here");
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["tenant_id"], &claims["role"], &claims["plan"]),
        (&json!(server.url), &json!("tenantry"), &json!(acme.id), &json!("owner"), &json!("free"))
    );
    assert!(claims["sub"].as_str().unwrap().starts_with("user_"));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["tenantry"]);
    rules.set_issuer(&[&server.url]);
    let key = DecodingKey::from_ed_components(key["x"].as_str().unwrap()).unwrap();
    let checked = jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap();
    assert_eq!(checked.claims, claims);
}

#[tokio::test]
async fn a_token_library_finds_the_keys_by_discovery() {
    let server = Starting::new().set("SERVER__PUBLIC_URL", "https://tenantry.example.com").start();
    let discovery = server.nobody().get("/.well-known/openid-configuration").await;
    assert_eq!(discovery.header("cache-control"), Some("public, max-age=300"));
    let document = discovery.expect(200);
    assert_eq!(document["issuer"], "https://tenantry.example.com");
    assert_eq!(document["jwks_uri"], "https://tenantry.example.com/.well-known/jwks.json");
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["EdDSA"]));
    assert_eq!(part(&token(&server).await, 1)["iss"], "https://tenantry.example.com");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_person_are_answered_alike() {
    let server = Server::embedded();
    server.settle("Acme").await;
    let told = async |body: Value| {
        let answer = sign_in(&server, body).await;
        assert_eq!(answer.problem(401), "unauthenticated");
        assert!(answer.header("www-authenticate").is_some());
        let mut told = answer.json();
        told.as_object_mut().unwrap().remove("request_id");
        told
    };
    let wrong = told(json!({ "email": "owner@acme.example", "password": "wrong" })).await;
    for body in [
        json!({ "email": "nobody@example.com", "password": "wrong" }),
        json!({ "email": "no address", "password": "wrong" }),
        json!({ "email": "owner@acme.example", "password": "" }),
        json!({ "email": "owner@acme.example", "password": PASSWORD, "tenant": "globex" }),
        json!({ "email": "owner@acme.example", "password": PASSWORD, "tenant": "tenant_x" }),
    ] {
        assert_eq!(told(body.clone()).await, wrong, "{body}");
    }
}

#[tokio::test]
async fn who_belongs_to_several_tenants_names_one() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let body = json!({ "organization": "Globex", "email": "owner@acme.example", "password": PASSWORD });
    server.nobody().post("/v1/signups", body).await.expect(202);
    let refused = sign_in(&server, json!({ "email": "owner@acme.example", "password": PASSWORD })).await;
    assert_eq!(refused.pointers(), ["/tenant"]);
    assert!(refused.text.contains("acme, globex"), "{}", refused.text);
    for (tenant, slug) in [("globex", "globex"), (acme.id.as_str(), "acme"), ("ACME", "acme")] {
        let body = json!({ "email": "owner@acme.example", "password": PASSWORD, "tenant": tenant });
        let session = sign_in(&server, body).await.expect(200);
        let own = server.with(session["access_token"].as_str().unwrap()).get("/v1/tenant").await;
        assert_eq!(own.expect(200)["slug"], slug);
    }
}

#[tokio::test]
async fn a_forged_or_changed_token_is_refused() {
    let server = Server::embedded();
    let good = token(&server).await;
    let (header, claims) = (part(&good, 0), part(&good, 1));
    let signature = good.rsplit('.').next().unwrap();
    let keys = server.nobody().get("/.well-known/jwks.json").await.expect(200);
    let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let with = |value: &Value, key: &str, new: Value| {
        let mut value = value.clone();
        value[key] = new;
        value
    };
    let kid = header["kid"].as_str().unwrap().to_owned();
    let hs = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
    let by_public_key = jsonwebtoken::encode(&hs, &claims, &EncodingKey::from_secret(&public)).unwrap();
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let pkcs8 = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_der(&stranger).unwrap();
    let ed = |kid: Option<String>| {
        let header = Header { kid, ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(pkcs8.as_bytes())).unwrap()
    };
    let forged = [
        sealed(&header, &with(&claims, "role", json!("admin")), signature),
        sealed(&header, &with(&claims, "exp", json!(4_102_444_800i64)), signature),
        sealed(&with(&header, "alg", json!("none")), &claims, ""),
        sealed(&with(&header, "alg", json!("none")), &claims, signature),
        sealed(&with(&header, "alg", json!("None")), &claims, ""),
        sealed(&with(&header, "kid", json!("another")), &claims, signature),
        sealed(&json!({ "alg": "EdDSA" }), &claims, signature),
        sealed(&header, &claims, ""),
        sealed(&header, &claims, &"A".repeat(86)),
        by_public_key,
        ed(Some(kid)),
        ed(None),
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{good}x"),
        format!("{good}.x"),
    ];
    server.with(&good).get("/v1/tenant").await.expect(200);
    for token in forged {
        let refused = server.with(&token).get("/v1/tenant").await;
        assert_eq!(refused.problem(401), "unauthenticated", "{token}");
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
}

#[tokio::test]
async fn a_token_counts_only_in_its_time_here_and_for_this_audience() {
    let server = Starting::new().set("SECRETS__MASTER_KEY", STANDARD.encode([9; 32])).start();
    let acme = server.settle("Acme").await;
    let good =
        sign_in(&server, json!({ "email": "owner@acme.example", "password": PASSWORD })).await.expect(200);
    let claims = part(good["access_token"].as_str().unwrap(), 1);
    let url = format!("sqlite://{}", server.data_dir().join("control.db").display());
    let db = Db::open(&url, &Options::default()).await.unwrap();
    let vault = Vault::new(MasterKey::new([9; 32]), vec![]);
    let tokens =
        Tokens::load(&db, &vault, &Clock::system(), server.url.clone(), "tenantry".into()).await.unwrap();
    let now = claims["iat"].as_i64().unwrap();
    let text = |key: &str| claims[key].as_str().unwrap();
    let token = |iat: i64, exp: i64, iss: &str, aud: &str| {
        tokens
            .sign(&Claims {
                iss: iss.to_owned(),
                sub: text("sub").parse().unwrap(),
                aud: aud.to_owned(),
                exp,
                iat,
                jti: text("jti").parse().unwrap(),
                tenant_id: acme.id.parse().unwrap(),
                role: TenantRole::Owner,
                plan: "free".into(),
            })
            .unwrap()
    };
    let ask = async |token: String| server.with(&token).get("/v1/tenant").await;
    ask(token(now, now + 900, &server.url, "tenantry")).await.expect(200);
    let ended = ask(token(now - 1000, now - 100, &server.url, "tenantry")).await;
    assert_eq!(ended.problem(401), "unauthenticated");
    assert!(ended.text.contains("expired"), "{}", ended.text);
    for token in [
        token(now + 600, now + 900, &server.url, "tenantry"),
        token(now, now + 900, "https://elsewhere.example", "tenantry"),
        token(now, now + 900, &server.url, "another service"),
    ] {
        assert_eq!(ask(token).await.problem(401), "unauthenticated");
    }
}
