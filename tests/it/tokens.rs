//! Access tokens: what they say, that strangers can check them, that nobody can forge them, and the life of the
//! keys that sign them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use std::time::Duration;
use tenantry::db::{Db, Options};
use tenantry::identity::token::{Claims, Tokens};
use tenantry::kernel::clock::Clock;
use tenantry::kernel::vault::{MasterKey, Vault};

use crate::world::postgres::Pg;
use crate::world::server::{Server, Starting, eventually};
use crate::world::strangers::Stranger;

const ROTATION: Duration = Duration::from_secs(30 * 86_400);

async fn token(server: &Server) -> String {
    server.settle("Acme").await;
    server.sign_in("Acme").await["access_token"].as_str().unwrap().to_owned()
}

pub fn part(token: &str, at: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

fn sealed(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// The ids of the published keys, newest first.
async fn published(server: &Server) -> Vec<String> {
    let keys = server.nobody().get("/.well-known/jwks.json").await.expect(200);
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Id and state of the keys as operators see them, newest first.
async fn states(server: &Server) -> Vec<(String, String)> {
    let keys = server.operator().get("/admin/v1/signing-keys").await.expect(200);
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    keys["data"].as_array().unwrap().iter().map(|key| (text(key, "kid"), text(key, "state"))).collect()
}

async fn rotate(server: &Server, at_once: bool) -> String {
    let path = "/admin/v1/signing-keys/rotate";
    let made = server.operator().post(path, json!({ "at_once": at_once })).await.expect(201);
    made["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_says_who_where_and_how_long_and_others_can_check_it() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let session = server.sign_in("Acme").await;
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
    assert!(claims["sid"].as_str().unwrap().starts_with("sess_"));
    let other = server.sign_in("Acme").await;
    let other = part(other["access_token"].as_str().unwrap(), 1);
    assert!(other["jti"].is_string() && other["jti"] != claims["jti"], "each token has its own");
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
    let good = server.sign_in("Acme").await;
    let claims = part(good["access_token"].as_str().unwrap(), 1);
    let url = format!("sqlite://{}", server.data_dir().join("control.db").display());
    let db = Db::open(&url, &Options::default()).await.unwrap();
    let vault = Vault::new(MasterKey::new([9; 32]), vec![]);
    let clock = Clock::system();
    let tokens =
        Tokens::load(&db, &vault, &clock, ROTATION, server.url.clone(), "tenantry".into()).await.unwrap();
    let now = claims["iat"].as_i64().unwrap();
    let text = |key: &str| claims[key].as_str().unwrap();
    let token = |iat: i64, exp: i64, iss: &str, aud: &str| {
        let claims = Claims {
            iss: iss.to_owned(),
            sub: text("sub").to_owned(),
            aud: aud.to_owned(),
            exp,
            iat,
            jti: text("jti").to_owned(),
            sid: text("sid").parse().unwrap(),
            role: "owner".into(),
            tenant_id: Some(acme.id.parse().unwrap()),
            plan: Some("free".into()),
            act: None,
        };
        tokens.sign(&claims, clock.now()).unwrap()
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
        token(now, now + 900, &server.url, "tenantry-admin"),
    ] {
        assert_eq!(ask(token).await.problem(401), "unauthenticated");
    }
}

#[tokio::test]
async fn a_token_says_nothing_of_a_session_tenant_or_role_that_is_not_so() {
    let server = Starting::new().set("SECRETS__MASTER_KEY", STANDARD.encode([9; 32])).start();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let (mine, theirs) = (server.sign_in("Acme").await, server.sign_in("Globex").await);
    let (mine, theirs) =
        (part(mine["access_token"].as_str().unwrap(), 1), part(theirs["access_token"].as_str().unwrap(), 1));
    let url = format!("sqlite://{}", server.data_dir().join("control.db").display());
    let db = Db::open(&url, &Options::default()).await.unwrap();
    let vault = Vault::new(MasterKey::new([9; 32]), vec![]);
    let clock = Clock::system();
    let tokens =
        Tokens::load(&db, &vault, &clock, ROTATION, server.url.clone(), "tenantry".into()).await.unwrap();
    let ask = async |change: &dyn Fn(&mut Claims)| {
        let mut claims: Claims = serde_json::from_value(mine.clone()).unwrap();
        change(&mut claims);
        let token = tokens.sign(&claims, clock.now()).unwrap();
        let tenant = server.with(&token).get("/v1/tenant").await;
        let admin = server.with(&token).get("/admin/v1/tenants").await;
        assert!(matches!(admin.status, 401 | 403), "{admin:?}");
        tenant
    };
    assert_eq!(ask(&|_| {}).await.expect(200)["id"], json!(acme.id));
    // Even our own signature makes no session, and the role is the member's own, whatever is written.
    ask(&|claims| claims.role = "viewer".into()).await.expect(200);
    let changes: [&dyn Fn(&mut Claims); 9] = [
        &|claims: &mut Claims| claims.sid = tenantry::kernel::id::SessionId::mint(),
        &|claims: &mut Claims| claims.sid = theirs["sid"].as_str().unwrap().parse().unwrap(),
        &|claims: &mut Claims| claims.sub = theirs["sub"].as_str().unwrap().to_owned(),
        &|claims: &mut Claims| claims.sub = "nobody".into(),
        &|claims: &mut Claims| claims.tenant_id = Some(globex.id.parse().unwrap()),
        &|claims: &mut Claims| claims.tenant_id = None,
        &|claims: &mut Claims| claims.aud = "tenantry-admin".into(),
        &|claims: &mut Claims| {
            claims.aud = "tenantry-admin".into();
            claims.tenant_id = None;
            claims.role = "admin".into();
        },
        &|claims: &mut Claims| {
            claims.act =
                Some(tenantry::identity::token::Actor { sub: "oper_01h455vb4pex5vsknk084sn02q".into() });
        },
    ];
    for change in changes {
        assert_eq!(ask(change).await.problem(401), "unauthenticated");
    }
}

#[tokio::test]
async fn libraries_of_other_languages_check_our_tokens_by_our_key_set() {
    let server = Server::embedded();
    let first = token(&server).await;
    let mut strangers = [Stranger::python(&server.url), Stranger::node(&server.url)];
    for stranger in &mut strangers {
        let claims = stranger.check(&first, "tenantry").unwrap();
        assert_eq!(claims, part(&first, 1));
        assert!(stranger.check(&first, "another service").is_err());
        let (head, signature) = first.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let richer = URL_SAFE_NO_PAD.encode(json!({ "role": "admin" }).to_string());
        assert!(stranger.check(&format!("{header}.{richer}.{signature}"), "tenantry").is_err());
    }
    // Over a rotation: both keys are there, and the same libraries find the new one by themselves.
    let made = rotate(&server, true).await;
    let second = server.sign_in("Acme").await["access_token"].as_str().unwrap().to_owned();
    assert!(kid(&second) == made && kid(&first) != made);
    let officer = server.officer("ada@example.com", "viewer").await;
    for stranger in &mut strangers {
        stranger.check(&second, "tenantry").unwrap();
        stranger.check(&first, "tenantry").unwrap();
        let operators = officer["access_token"].as_str().unwrap();
        assert!(stranger.check(operators, "tenantry").is_err(), "an operator's is for nobody else");
        stranger.check(operators, "tenantry-admin").unwrap();
    }
    // A retired key is gone from the set, and for whoever fetches it anew.
    let old = kid(&first);
    server.operator().delete(&format!("/admin/v1/signing-keys/{old}")).await.expect(200);
    for mut stranger in [Stranger::python(&server.url), Stranger::node(&server.url)] {
        assert!(stranger.check(&first, "tenantry").is_err());
        stranger.check(&second, "tenantry").unwrap();
    }
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_a_retired_one_is_refused_at_once() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let first = published(&server).await;
    let next = rotate(&server, false).await;
    assert_eq!(published(&server).await, [next.clone(), first[0].clone()]);
    assert_eq!(
        states(&server).await,
        [(next.clone(), "next".to_owned()), (first[0].clone(), "signing".to_owned())]
    );
    let session = server.sign_in("Acme").await;
    assert_eq!(kid(session["access_token"].as_str().unwrap()), first[0], "it does not sign yet");
    let path = "/admin/v1/signing-keys/rotate";
    let again = server.operator().post(path, json!({})).await;
    assert_eq!(again.problem(409), "rotation_pending");

    // The one that signs is known to others: it is retired, its tokens with it, and another signs.
    acme.owner.get("/v1/tenant").await.expect(200);
    let retired = server.operator().delete(&format!("/admin/v1/signing-keys/{}", first[0])).await.expect(200);
    assert_eq!(retired["state"], "retired");
    assert_eq!(acme.owner.get("/v1/tenant").await.problem(401), "unauthenticated");
    let signs = states(&server).await.into_iter().find(|(_, state)| state == "signing").unwrap().0;
    assert!(signs != first[0] && signs != next, "a fresh one");
    assert!(!published(&server).await.contains(&first[0]));
    let refreshed = json!({ "refresh_token": session["refresh_token"] });
    let renewed = server.nobody().post("/v1/sessions/refresh", refreshed).await.expect(200);
    assert_eq!(kid(renewed["access_token"].as_str().unwrap()), signs, "sessions go on");
    server.with_token_of(&renewed).get("/v1/tenant").await.expect(200);
    assert_eq!(server.operator().delete("/admin/v1/signing-keys/none").await.problem(404), "not_found");
    let support = server.operator_as("support").await;
    assert_eq!(support.post(path, json!({})).await.problem(403), "insufficient_role");
    support.get("/admin/v1/signing-keys").await.expect(200);
}

#[tokio::test]
async fn a_key_whose_time_has_come_is_followed_by_another_by_itself() {
    let mut server = Server::embedded();
    server.settle("Acme").await;
    let first = published(&server).await;
    assert!(server.stop());
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    let age = "UPDATE signing_keys SET active_at = active_at - 31 * 86400 * 1000000";
    assert_eq!(file.execute(age, []).unwrap(), 1);
    drop(file);
    server.start();
    let now = states(&server).await;
    assert_eq!((now.len(), &now[0].1, &now[1].1), (2, &"next".to_owned(), &"signing".to_owned()));
    assert_eq!(now[1].0, first[0]);
    assert_eq!(published(&server).await.len(), 2, "services learn of it before it signs");
    // Ten minutes later.
    assert!(server.stop());
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    file.execute("UPDATE signing_keys SET active_at = active_at - 601 * 1000000", []).unwrap();
    drop(file);
    server.start();
    let session = server.sign_in("Acme").await;
    assert_eq!(kid(session["access_token"].as_str().unwrap()), now[0].0);
    assert_eq!(published(&server).await.len(), 2, "tokens of the old one may still be good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_one_makes_the_key_and_all_know_it() {
    let database = Pg::newest().fresh_database();
    let start = || {
        Starting::new()
            .on_postgres(&database.url, "schema")
            .set("SECRETS__MASTER_KEY", STANDARD.encode([9; 32]))
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 4)
            .without_stock()
    };
    let mut one = start().start();
    let mut two = start().start();
    one.settle("Acme").await;
    assert_eq!(published(&one).await, published(&two).await);
    assert!(one.stop() && two.stop());
    database.run(&["UPDATE signing_keys SET active_at = active_at - interval '31 days'"]);
    std::thread::scope(|scope| {
        scope.spawn(|| one.start());
        scope.spawn(|| two.start());
    });
    eventually("both to know the next key", || async {
        let (ours, theirs) = (published(&one).await, published(&two).await);
        assert!(ours.len() <= 2 && theirs.len() <= 2, "{ours:?} {theirs:?}");
        (ours.len() == 2 && ours == theirs).then_some(())
    })
    .await;
    // A token by a key that the other has not heard of is good there at once.
    for _ in 0..2 {
        rotate(&one, true).await;
        let session = one.sign_in("Acme").await;
        eventually("the other to know the key", || async {
            let answer = two.with_token_of(&session).get("/v1/tenant").await;
            (answer.status == 200).then_some(())
        })
        .await;
        two.operator()
            .delete(&format!("/admin/v1/signing-keys/{}", kid(session["access_token"].as_str().unwrap())))
            .await
            .expect(200);
        eventually("the one to refuse what it signed", || async {
            (one.with_token_of(&session).get("/v1/tenant").await.status == 401).then_some(())
        })
        .await;
    }
}
