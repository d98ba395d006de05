//! A person's own account: password, address, and what was forgotten.

use diesel::prelude::*;
use serde_json::{Value, json};
use tenantry::db::schema::sessions;

use crate::on_each_engine;
use crate::world::server::{Answer, Client, PASSWORD, Server, Starting, eventually};

const NEW: &str = "a fresh staple of horses";

fn quick(starting: Starting) -> Starting {
    starting.set("MAIL__RESEND_COOLDOWN_S", 0)
}

async fn sign_in(server: &Server, email: &str, password: &str) -> Answer {
    server.nobody().post("/v1/sessions", json!({ "email": email, "password": password })).await
}

async fn session(server: &Server, email: &str) -> Client {
    let made = sign_in(server, email, PASSWORD).await.expect(200);
    server.with(made["access_token"].as_str().unwrap())
}

async fn reset(server: &Server, email: &str) -> Answer {
    server.nobody().post("/v1/password-resets", json!({ "email": email })).await
}

async fn confirm(server: &Server, token: &str, password: &str) -> Answer {
    server.nobody().post("/v1/password-resets/confirm", json!({ "token": token, "password": password })).await
}

/// How many sessions of the store have ended, for this reason.
async fn ended(server: &Server, reason: &str) -> usize {
    let app = crate::world::doctor::parts(server).await;
    let reason = reason.to_owned();
    let count = app.db.read(move |conn| {
        Ok(sessions::table.filter(sessions::end_reason.eq(reason)).count().get_result::<i64>(conn)?)
    });
    usize::try_from(count.await.unwrap()).unwrap()
}

on_each_engine! {
    async fn a_forgotten_password_is_set_anew_with_the_token_from_the_mail_once(scene) {
        let (starting, _database) = scene.starting();
        let server = quick(starting).start();
        server.settle("Acme").await;
        let told = reset(&server, " OWNER@acme.example").await.expect(202);
        assert_eq!(reset(&server, "nobody@acme.example").await.expect(202), told, "nobody learns who is known");
        let token = server.letter("owner@acme.example", 1).await.token();
        for (weak, _) in [("short", 0), ("password123", 0), ("owner@acme.example", 0)] {
            assert_eq!(confirm(&server, &token, weak).await.pointers(), ["/password"], "{weak}");
        }
        let at_once = futures_util::future::join_all((0..8).map(|_| confirm(&server, &token, NEW))).await;
        let done = at_once.iter().filter(|answer| answer.status == 204).count();
        assert_eq!(done, 1, "{at_once:#?}");
        assert_eq!(confirm(&server, &token, NEW).await.problem(422), "token_void");
        assert_eq!(sign_in(&server, "owner@acme.example", PASSWORD).await.problem(401), "unauthenticated");
        sign_in(&server, "owner@acme.example", NEW).await.expect(200);
        assert_eq!(server.letter("owner@acme.example", 2).await.subject(), "Your password was changed");
        assert_eq!(ended(&server, "password_changed").await, 1);
        assert!(server.letters("nobody@acme.example").is_empty());
    }
}

#[tokio::test]
async fn a_token_is_replaced_by_the_next_ends_with_its_time_and_cannot_be_made_up() {
    let server = quick(Starting::new()).set("AUTH__CODE_TTL_S", 3).start();
    server.settle("Acme").await;
    reset(&server, "owner@acme.example").await.expect(202);
    let first = server.letter("owner@acme.example", 1).await.token();
    reset(&server, "owner@acme.example").await.expect(202);
    let second = server.letter("owner@acme.example", 2).await.token();
    for token in [first.as_str(), "", "tnt_rst_", &"x".repeat(51), &second.to_uppercase()] {
        assert_eq!(confirm(&server, token, NEW).await.problem(422), "token_void", "{token}");
    }
    eventually("the token to end", || async {
        // Too weak a password is only told while the token is good, and leaves it good.
        (confirm(&server, &second, "short").await.problem(422) == "token_void").then_some(())
    })
    .await;
    assert_eq!(confirm(&server, &second, NEW).await.problem(422), "token_void");
    sign_in(&server, "owner@acme.example", PASSWORD).await.expect(200);
    assert_eq!(reset(&server, "no address").await.pointers(), ["/email"]);
}

#[tokio::test]
async fn within_the_cooldown_one_mail_is_sent_whoever_asks_how_often() {
    let server = Server::embedded();
    server.settle("Acme").await;
    for _ in 0..4 {
        reset(&server, "owner@acme.example").await.expect(202);
    }
    eventually("all requests to be worked off", || async {
        let page = server.operator().get("/admin/v1/operations?kind=user.reset_password").await.expect(200);
        assert!(!page.to_string().contains("acme.example"), "who asked about whom is not shown: {page:#}");
        page["data"].as_array().unwrap().iter().all(|one| one["state"] == "succeeded").then_some(())
    })
    .await;
    let sends = server.operator().get("/admin/v1/operations?kind=mail.send").await.expect(200);
    assert_eq!(sends["data"].as_array().unwrap().len(), 1);
}

on_each_engine! {
    async fn a_password_is_changed_with_the_present_one_and_other_sessions_end(scene) {
        let (starting, _database) = scene.starting();
        let server = quick(starting).start();
        server.settle("Acme").await;
        let me = session(&server, "owner@acme.example").await;
        let change = async |current: &str, new: &str| {
            me.post("/v1/me/password", json!({ "current_password": current, "new_password": new })).await
        };
        assert_eq!(change("wrong", NEW).await.problem(403), "wrong_password");
        for weak in ["short", "1234567890", "owner@acme.example", PASSWORD] {
            assert_eq!(change(PASSWORD, weak).await.pointers(), ["/new_password"], "{weak}");
        }
        reset(&server, "owner@acme.example").await.expect(202);
        let token = server.letter("owner@acme.example", 1).await.token();
        change(PASSWORD, NEW).await.expect(204);
        assert_eq!(confirm(&server, &token, NEW).await.problem(422), "token_void", "a token from before is void");
        assert_eq!(server.letter("owner@acme.example", 2).await.subject(), "Your password was changed");
        sign_in(&server, "owner@acme.example", PASSWORD).await.problem(401);
        sign_in(&server, "owner@acme.example", NEW).await.expect(200);
        assert_eq!(ended(&server, "password_changed").await, 1, "the first session, not the one that asked");
        me.get("/v1/me").await.expect(200);
    }
}

on_each_engine! {
    async fn an_address_is_changed_with_password_and_code_and_the_old_one_is_told(scene) {
        let (starting, _database) = scene.starting();
        let server = quick(starting).start();
        server.settle("Acme").await;
        server.settle("Globex").await;
        let me = session(&server, "owner@acme.example").await;
        let ask = async |email: &str, password: &str| {
            me.post("/v1/me/email", json!({ "email": email, "password": password })).await
        };
        let enter = async |code: &str| me.post("/v1/me/email/confirm", json!({ "code": code })).await;
        assert_eq!(enter("12345678").await.problem(422), "code_void");
        assert_eq!(ask("ada@acme.example", "wrong").await.problem(403), "wrong_password");
        assert_eq!(ask("ada", PASSWORD).await.pointers(), ["/email"]);
        assert_eq!(ask("Owner@acme.example", PASSWORD).await.pointers(), ["/email"]);
        let told = ask("ada@acme.example", PASSWORD).await.expect(202);
        let first = server.letter("ada@acme.example", 1).await.code();
        // Somebody else's address is answered alike, and gets no mail.
        assert_eq!(ask("owner@globex.example", PASSWORD).await.expect(202), told);
        assert_eq!(enter(&first).await.problem(422), "code_wrong", "another address is asked for now");
        ask("ada@acme.example", PASSWORD).await.expect(202);
        let second = server.letter("ada@acme.example", 2).await.code();
        let wrong = if second == "00000000" { "00000001" } else { "00000000" };
        for _ in 0..4 {
            assert_eq!(enter(wrong).await.problem(422), "code_wrong");
        }
        let changed = enter(&second).await.expect(200);
        assert_eq!(changed["email"], "ada@acme.example");
        sign_in(&server, "owner@acme.example", PASSWORD).await.problem(401);
        sign_in(&server, "ada@acme.example", PASSWORD).await.expect(200);
        let told = server.letter("owner@acme.example", 1).await;
        assert!(told.subject() == "Your address was changed" && !told.raw.contains("ada@acme.example"), "{}", told.raw);
        assert_eq!(ended(&server, "email_changed").await, 1);
        assert!(server.letters("owner@globex.example").is_empty());
    }
}

#[tokio::test]
async fn five_wrong_codes_void_a_change_of_address() {
    let server = quick(Starting::new()).start();
    server.settle("Acme").await;
    let me = session(&server, "owner@acme.example").await;
    me.post("/v1/me/email", json!({ "email": "ada@acme.example", "password": PASSWORD })).await.expect(202);
    let code = server.letter("ada@acme.example", 1).await.code();
    let wrong = if code == "00000000" { "00000001" } else { "00000000" };
    for _ in 0..5 {
        assert_eq!(
            me.post("/v1/me/email/confirm", json!({ "code": wrong })).await.problem(422),
            "code_wrong"
        );
    }
    assert_eq!(me.post("/v1/me/email/confirm", json!({ "code": code })).await.problem(422), "code_void");
}

#[tokio::test]
async fn of_two_who_want_one_address_the_first_who_confirms_gets_it() {
    let server = quick(Starting::new()).start();
    server.settle("Acme").await;
    server.settle("Globex").await;
    let mut both = Vec::new();
    for (number, owner) in [(1, "owner@acme.example"), (2, "owner@globex.example")] {
        let me = session(&server, owner).await;
        me.post("/v1/me/email", json!({ "email": "ada@new.example", "password": PASSWORD }))
            .await
            .expect(202);
        both.push((me, server.letter("ada@new.example", number).await.code()));
    }
    let mut answers = Vec::new();
    for (me, code) in &both {
        answers.push(me.post("/v1/me/email/confirm", json!({ "code": code })).await);
    }
    answers[0].expect(200);
    assert_eq!(answers[1].problem(409), "email_in_use");
}

#[tokio::test]
async fn an_account_is_a_persons_own() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let me = acme.owner.get("/v1/me").await.expect(200);
    assert_eq!(me["email"], "owner@acme.example");
    assert_eq!(me["memberships"].as_array().unwrap().len(), 1);
    let belonging = &me["memberships"][0];
    assert_eq!(
        (&belonging["tenant_id"], &belonging["slug"], &belonging["role"], &belonging["state"]),
        (&json!(acme.id), &json!("acme"), &json!("owner"), &json!("active"))
    );
    assert!(me["id"].as_str().unwrap().starts_with("user_") && me.get("password_hash").is_none());
    assert_eq!(acme.program.get("/v1/me").await.problem(403), "wrong_credential");
    assert_eq!(server.nobody().get("/v1/me").await.problem(401), "unauthenticated");
}

#[tokio::test]
async fn nothing_that_was_mailed_is_in_the_log_or_in_the_events() {
    let server = quick(Starting::new()).set("LOG__LEVEL", "trace").start();
    server.settle("Acme").await;
    reset(&server, "owner@acme.example").await.expect(202);
    let token = server.letter("owner@acme.example", 1).await.token();
    confirm(&server, &token, NEW).await.expect(204);
    let database = server.data_dir().join("control.db");
    let file = rusqlite::Connection::open(database).unwrap();
    let mut kinds = Vec::new();
    let mut query = file.prepare("SELECT type, data FROM events").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (kind, data) in rows.map(Result::<(String, String), _>::unwrap) {
        assert!(!data.contains(&token) && !data.contains('@') && !data.contains(NEW), "{kind} {data}");
        if kind.starts_with("user.") {
            let data: Value = serde_json::from_str(&data).unwrap();
            assert!(data["user_id"].as_str().unwrap().starts_with("user_"));
            kinds.push(kind);
        }
    }
    assert_eq!(kinds, ["user.password_reset_requested", "user.password_changed"]);
    assert!(!server.log().contains(&token));
}
