//! Second factors: set up, asked for, used once, recovered from, removed.

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::on_each_engine;
use crate::world::server::{Answer, Client, PASSWORD, Server, Starting};

/// An authenticator with the secret that was shown.
fn authenticator(enrolment: &Value) -> Totp {
    let secret = Secret::try_from_base32(enrolment["secret"].as_str().unwrap()).unwrap();
    Builder::new().with_secret(secret).build().unwrap()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The code of a step before or after the present one.
fn code(totp: &Totp, steps: i64) -> String {
    totp.generate(now().saturating_add_signed(steps * 30)).to_string()
}

/// Codes are good a step early and late; in the store the last step used is taken back, so that a test need not
/// wait for the next one.
async fn begin(who: &Client, path: &str) -> Totp {
    let enrolment = who.post(path, json!({ "password": PASSWORD })).await.expect(200);
    assert!(enrolment["otpauth_url"].as_str().unwrap().starts_with("otpauth://totp/"));
    authenticator(&enrolment)
}

async fn sign_in(server: &Server, more: Value) -> Answer {
    let mut body = json!({ "email": "owner@acme.example", "password": PASSWORD });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.nobody().post("/v1/sessions", body).await
}

on_each_engine! {
    async fn a_second_factor_is_asked_for_after_the_right_password_and_each_code_is_good_once(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let acme = server.settle("Acme").await;
        let owner = &acme.owner;
        assert_eq!(owner.post("/v1/me/totp", json!({ "password": "wrong" })).await.problem(403), "wrong_password");
        assert_eq!(owner.post("/v1/me/totp/confirm", json!({ "code": "123456" })).await.problem(409), "second_factor_not_begun");
        begin(owner, "/v1/me/totp").await;
        let totp = begin(owner, "/v1/me/totp").await;
        sign_in(&server, json!({})).await.expect(200);
        // Far away from now: no code of it can be good.
        assert_eq!(owner.post("/v1/me/totp/confirm", json!({ "code": code(&totp, 1000) })).await.problem(422), "wrong_code");
        let first = code(&totp, -1);
        let codes = owner.post("/v1/me/totp/confirm", json!({ "code": first })).await.expect(200);
        let codes = codes["recovery_codes"].as_array().unwrap().clone();
        assert_eq!(codes.len(), 10);
        assert_eq!(owner.post("/v1/me/totp", json!({ "password": PASSWORD })).await.problem(409), "second_factor_on");

        assert_eq!(sign_in(&server, json!({})).await.problem(401), "second_factor_required");
        let wrong = json!({ "email": "owner@acme.example", "password": "wrong", "totp": code(&totp, 0) });
        assert_eq!(server.nobody().post("/v1/sessions", wrong).await.problem(401), "unauthenticated", "the password first");
        assert_eq!(sign_in(&server, json!({ "totp": first })).await.problem(401), "second_factor_invalid", "used to confirm");
        let next = code(&totp, 1);
        sign_in(&server, json!({ "totp": next })).await.expect(200);
        assert_eq!(sign_in(&server, json!({ "totp": next })).await.problem(401), "second_factor_invalid", "used");
        assert_eq!(sign_in(&server, json!({ "totp": code(&totp, -1) })).await.problem(401), "second_factor_invalid", "before it");

        let recovery = codes[0].as_str().unwrap();
        sign_in(&server, json!({ "recovery_code": recovery.to_uppercase().replace('-', " ") })).await.expect(200);
        assert_eq!(sign_in(&server, json!({ "recovery_code": recovery })).await.problem(401), "second_factor_invalid");
        assert_eq!(acme.program.post("/v1/me/totp", json!({ "password": PASSWORD })).await.problem(403), "wrong_credential");
        let remove = |password: &str| owner.send(owner.request("DELETE", "/v1/me/totp").json(&json!({ "password": password })));
        assert_eq!(remove("wrong").await.problem(403), "wrong_password");
        remove(PASSWORD).await.expect(204);
        assert_eq!(remove(PASSWORD).await.problem(404), "not_found");
        sign_in(&server, json!({})).await.expect(200);
    }
}

on_each_engine! {
    async fn of_many_who_bring_one_code_at_once_one_gets_in(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().set("THROTTLE__TRIES_PER_ACCOUNT", 1_000_000).start();
        let acme = server.settle("Acme").await;
        let totp = begin(&acme.owner, "/v1/me/totp").await;
        let codes = acme.owner.post("/v1/me/totp/confirm", json!({ "code": code(&totp, -1) })).await.expect(200);
        for more in [json!({ "totp": code(&totp, 1) }), json!({ "recovery_code": codes["recovery_codes"][3] })] {
            let asked = (0..8).map(|_| sign_in(&server, more.clone()));
            let answers = futures_util::future::join_all(asked).await;
            let won = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(won, 1, "{answers:#?}");
            assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 401 | 429)), "{answers:#?}");
        }
    }
}

#[tokio::test]
async fn codes_are_not_to_be_guessed_and_the_secret_is_sealed() {
    let server = Starting::new().set("SERVER__TRUSTED_PROXIES", "127.0.0.0/8").without_stock().start();
    let acme = server.settle("Acme").await;
    let enrolment = acme.owner.post("/v1/me/totp", json!({ "password": PASSWORD })).await.expect(200);
    let totp = authenticator(&enrolment);
    acme.owner.post("/v1/me/totp/confirm", json!({ "code": code(&totp, -1) })).await.expect(200);
    // A crowd that knows the password, each guessing once.
    let guess = async |address: String, code: String| {
        let body = json!({ "email": "owner@acme.example", "password": PASSWORD, "totp": code });
        let nobody = server.nobody();
        nobody
            .send(nobody.request("POST", "/v1/sessions").header("x-forwarded-for", address).json(&body))
            .await
    };
    for at in 0..5 {
        let answer = guess(format!("198.51.100.{at}"), code(&totp, 500 + at)).await;
        assert_eq!(answer.problem(401), "second_factor_invalid");
    }
    assert_eq!(guess("198.51.100.99".into(), code(&totp, 1)).await.problem(429), "rate_limited");
    // Where the owner signed in from before, they still do.
    sign_in(&server, json!({ "totp": code(&totp, 1) })).await.expect(200);
    let secret = Secret::try_from_base32(enrolment["secret"].as_str().unwrap()).unwrap();
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    let sealed: Vec<u8> = file.query_row("SELECT secret FROM totp_factors", [], |row| row.get(0)).unwrap();
    assert!(!sealed.windows(20).any(|part| part == secret.as_bytes()));
    assert!(!server.log().contains(enrolment["secret"].as_str().unwrap()));
    let told: i64 = file
        .query_row(
            "SELECT count(*) FROM events WHERE type IN ('second_factor.added', 'session.refused')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(told, 6);
}

#[tokio::test]
async fn operators_have_second_factors_too() {
    let server = Starting::new().without_stock().start();
    let ada = server.with_token_of(&server.officer("ada@example.com", "viewer").await);
    let totp = begin(&ada, "/admin/v1/me/totp").await;
    ada.post("/admin/v1/me/totp/confirm", json!({ "code": code(&totp, -1) })).await.expect(200);
    let sign_in = async |more: Value| {
        let mut body = json!({ "email": "ada@example.com", "password": PASSWORD });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.nobody().post("/admin/v1/sessions", body).await
    };
    assert_eq!(sign_in(json!({})).await.problem(401), "second_factor_required");
    sign_in(json!({ "totp": code(&totp, 1) })).await.expect(200);
    let by_key = server.operator().post("/admin/v1/me/totp", json!({ "password": PASSWORD })).await;
    assert_eq!(by_key.problem(403), "wrong_credential");
    ada.send(ada.request("DELETE", "/admin/v1/me/totp").json(&json!({ "password": PASSWORD })))
        .await
        .expect(204);
    sign_in(json!({})).await.expect(200);
}
