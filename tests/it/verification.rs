//! Signups that confirm their address with a mailed code.

use serde_json::{Value, json};

use crate::world::doctor;
use crate::world::server::{Answer, PASSWORD, Server, Starting, eventually};
use crate::{in_every_model, on_each_engine};

fn confirming(starting: Starting) -> Starting {
    starting.set("SIGNUP__VERIFY_EMAIL", true).set("MAIL__RESEND_COOLDOWN_S", 0)
}

fn signup(name: &str, email: &str) -> Value {
    json!({ "organization": name, "email": email, "password": PASSWORD })
}

async fn enter(server: &Server, signed: &Value, code: &str) -> Answer {
    let path = format!("/v1/signups/{}/verify", signed["signup_id"].as_str().unwrap());
    server.nobody().post(&path, json!({ "code": code })).await
}

async fn resend(server: &Server, signup: &str) -> Answer {
    server.nobody().send(server.nobody().request("POST", &format!("/v1/signups/{signup}/resend"))).await
}

async fn sign_in(server: &Server, email: &str) -> Answer {
    server.nobody().post("/v1/sessions", json!({ "email": email, "password": PASSWORD })).await
}

async fn state(server: &Server, signed: &Value) -> Value {
    let path = format!("/admin/v1/tenants/{}", signed["tenant_id"].as_str().unwrap());
    server.operator().get(&path).await.expect(200)["state"].clone()
}

/// Eight digits that are not these.
fn other_than(code: &str) -> String {
    if code == "00000000" { "00000001".into() } else { "00000000".into() }
}

in_every_model! {
    async fn the_code_from_the_mail_turns_a_signup_into_a_tenant(scene) {
        let (starting, _database) = scene.starting();
        let server = confirming(starting).start();
        let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
        assert_eq!(signed["verification"], "pending");
        let operation = &signed["operation"];
        assert_eq!((&operation["state"], &operation["steps"][0]["name"]), (&json!("pending"), &json!("confirm_address")));
        assert_eq!(state(&server, &signed).await, "provisioning");
        assert_eq!(sign_in(&server, "ada@acme.example").await.problem(403), "email_not_verified");
        let wrong = json!({ "email": "ada@acme.example", "password": "wrong" });
        assert_eq!(server.nobody().post("/v1/sessions", wrong).await.problem(401), "unauthenticated");
        let letter = server.letter("ada@acme.example", 1).await;
        assert!(letter.subject().contains(&letter.code()), "{}", letter.raw);
        let verified = enter(&server, &signed, &letter.code()).await.expect(202);
        assert_eq!(verified["verification"], "verified");
        for field in ["signup_id", "tenant_id", "slug"] {
            assert_eq!(verified[field], signed[field]);
        }
        server.until_done(operation["id"].as_str().unwrap()).await;
        assert_eq!(state(&server, &signed).await, "active");
        let session = sign_in(&server, "ada@acme.example").await.expect(200);
        let owner = server.with(session["access_token"].as_str().unwrap());
        owner.query("SELECT count(*) FROM notes", json!([])).await.expect(200);
        assert_eq!(enter(&server, &signed, &letter.code()).await.problem(409), "already_verified");
        server.letter("ada@acme.example", 1).await;
        assert_eq!(server.letters("ada@acme.example").len(), 1);
    }
}

on_each_engine! {
    async fn guesses_are_counted_for_all_replicas_together_and_a_fresh_code_begins_anew(scene) {
        let (starting, _database) = scene.starting();
        let server = confirming(starting).start();
        let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
        let first = server.letter("ada@acme.example", 1).await.code();
        let (nobody, path) = (server.nobody(), format!("/v1/signups/{}/verify", signed["signup_id"].as_str().unwrap()));
        let guesses: Vec<_> = (0..24).map(|_| nobody.post(&path, json!({ "code": "0000 0001" }))).collect();
        let mut wrong = 0;
        for answer in futures_util::future::join_all(guesses).await {
            match answer.status {
                // Many at once may be told to come again; that is no guess.
                503 => {}
                _ => {
                    let code = answer.problem(422);
                    assert!(code == "code_wrong" || code == "code_void", "{}", answer.text);
                    wrong += usize::from(code == "code_wrong");
                }
            }
        }
        assert!(wrong <= 5, "{wrong} guesses were taken");
        while enter(&server, &signed, "00000001").await.problem(422) != "code_void" {}
        assert_eq!(enter(&server, &signed, &first).await.problem(422), "code_void", "the right one comes too late");
        let id = signed["signup_id"].as_str().unwrap();
        resend(&server, id).await.expect(202);
        let second = server.letter("ada@acme.example", 2).await.code();
        if first != second {
            assert_eq!(enter(&server, &signed, &first).await.problem(422), "code_wrong", "the old one is void");
        }
        enter(&server, &signed, &second).await.expect(202);
    }
}

#[tokio::test]
async fn a_fresh_code_is_answered_alike_for_everybody_and_sent_a_few_times_only() {
    let server = confirming(Starting::new()).start();
    let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
    let id = signed["signup_id"].as_str().unwrap();
    let told = resend(&server, id).await.expect(202);
    for _ in 0..6 {
        assert_eq!(resend(&server, id).await.expect(202), told);
    }
    assert_eq!(resend(&server, "signup_01h455vb4pex5vsknk084sn02q").await.expect(202), told);
    let last = server.letter("ada@acme.example", 5).await;
    let operations = server.operator().get("/admin/v1/operations?kind=mail.send").await.expect(200);
    assert_eq!(operations["data"].as_array().unwrap().len(), 5, "the code of the signup, and four more");
    enter(&server, &signed, &last.code()).await.expect(202);
    let path = "/v1/signups/signup_01h455vb4pex5vsknk084sn02q/verify";
    assert_eq!(server.nobody().post(path, json!({ "code": "1" })).await.problem(404), "not_found");
}

on_each_engine! {
    async fn a_signup_that_is_never_confirmed_is_given_up_and_leaves_nothing(scene) {
        let (starting, _database) = scene.starting();
        let server = confirming(starting).set("SIGNUP__VERIFICATION_TTL_S", 2).without_stock().start();
        let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
        let code = server.letter("ada@acme.example", 1).await.code();
        eventually("the signup to be given up", || async {
            (state(&server, &signed).await == "deleted").then_some(())
        })
        .await;
        let operation = format!("/admin/v1/operations/{}", signed["operation"]["id"].as_str().unwrap());
        let ended = eventually("the operation to end", || async {
            let found = server.operator().get(&operation).await.expect(200);
            (found["state"] == "failed").then_some(found)
        })
        .await;
        assert_eq!(ended["error"], "canceled: the address was not confirmed in time");
        assert_eq!(enter(&server, &signed, &code).await.problem(404), "not_found");
        assert_eq!(sign_in(&server, "ada@acme.example").await.problem(401), "unauthenticated");
        let again = server.nobody().post("/v1/signups", json!({ "organization": "Acme", "slug": "acme", "email": "ada@acme.example", "password": PASSWORD })).await.expect(202);
        assert_eq!(again["slug"], "acme", "the slug is free again");
        let next = server.letter("ada@acme.example", 2).await.code();
        enter(&server, &again, &next).await.expect(202);
        server.until_done(again["operation"]["id"].as_str().unwrap()).await;
        let app = doctor::parts(&server).await;
        doctor::all_is_well(&app, [again["tenant_id"].as_str().unwrap()]).await;
    }
}

#[tokio::test]
async fn an_operator_who_retries_a_waiting_signup_only_makes_it_wait_on() {
    let server = confirming(Starting::new()).without_stock().start();
    let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
    let app = doctor::parts(&server).await;
    doctor::all_is_well(&app, []).await;
    let id = signed["operation"]["id"].as_str().unwrap();
    server.operator().post(&format!("/admin/v1/operations/{id}/retry"), json!({})).await;
    let waiting = eventually("the retry to be over", || async {
        let found = server.operator().get(&format!("/admin/v1/operations/{id}")).await.expect(200);
        (found["state"] == "pending" && !found["error"].is_null()).then_some(found)
    })
    .await;
    assert_eq!(waiting["error"], "waits for the code that was mailed");
    let code = server.letter("ada@acme.example", 1).await.code();
    enter(&server, &signed, &code).await.expect(202);
    server.until_done(id).await;
}

#[tokio::test]
async fn killed_anywhere_a_letter_and_a_confirmed_signup_go_on() {
    for place in ["before", "after", "recorded"] {
        for (step, before_the_code) in
            [("mail.send/deliver", true), ("tenant.onboard/confirm_address", false)]
        {
            let mut server = confirming(Starting::new()).failpoint(&format!("{step}/{place}")).start();
            let signed =
                server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
            if !before_the_code {
                let code = server.letter("ada@acme.example", 1).await.code();
                enter(&server, &signed, &code).await.expect(202);
            }
            server.wait_for_failpoint();
            server.kill();
            server.disarm();
            server.start();
            let code = server.letter("ada@acme.example", 1).await.code();
            if before_the_code {
                enter(&server, &signed, &code).await.expect(202);
            }
            server.until_done(signed["operation"]["id"].as_str().unwrap()).await;
            assert_eq!(server.letters("ada@acme.example").len(), 1, "{step}/{place}");
            sign_in(&server, "ada@acme.example").await.expect(200);
        }
    }
}

#[tokio::test]
async fn killed_while_it_gives_a_signup_up_it_gives_it_up_after_all() {
    let starting = confirming(Starting::new()).set("SIGNUP__VERIFICATION_TTL_S", 1);
    let mut server = starting.failpoint("tenant.onboard/confirm_address/before").start();
    let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
    server.wait_for_failpoint();
    server.kill();
    server.disarm();
    server.start();
    eventually("the signup to be given up", || async {
        (state(&server, &signed).await == "deleted").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_operator_may_delete_a_tenant_that_waits_for_its_code() {
    let server = confirming(Starting::new()).start();
    let signed = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
    let code = server.letter("ada@acme.example", 1).await.code();
    let path = format!("/admin/v1/tenants/{}", signed["tenant_id"].as_str().unwrap());
    let gone = server.operator().delete(&path).await.expect(202);
    server.until_done(gone["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(enter(&server, &signed, &code).await.problem(404), "not_found");
    assert_eq!(sign_in(&server, "ada@acme.example").await.problem(401), "unauthenticated");
}

on_each_engine! {
    async fn a_signup_with_a_known_address_looks_like_any_other_and_joins_the_account_by_its_code(scene) {
        let (starting, _database) = scene.starting();
        let server = confirming(starting).start();
        let first = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
        enter(&server, &first, &server.letter("ada@acme.example", 1).await.code()).await.expect(202);
        server.until_done(first["operation"]["id"].as_str().unwrap()).await;
        let mut body = signup("Globex", " ADA@acme.example ");
        body["password"] = json!("a stranger's guess at it");
        let second = server.nobody().post("/v1/signups", body).await.expect(202);
        let shape = |value: &Value| {
            let operation = &value["operation"];
            let steps: Vec<_> = operation["steps"].as_array().unwrap().iter().map(|one| (one["name"].clone(), one["state"].clone())).collect();
            let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            (keys, value["verification"].clone(), operation["state"].clone(), steps)
        };
        assert_eq!(shape(&first), shape(&second));
        let letter = server.letter("ada@acme.example", 2).await;
        assert!(letter.raw.contains("has an account already"), "{}", letter.raw);
        enter(&server, &second, &letter.code()).await.expect(202);
        server.until_done(second["operation"]["id"].as_str().unwrap()).await;
        let body = json!({ "email": "ada@acme.example", "password": PASSWORD, "tenant": "globex" });
        let session = server.nobody().post("/v1/sessions", body.clone()).await.expect(200);
        let me = server.with(session["access_token"].as_str().unwrap()).get("/v1/me").await.expect(200);
        let slugs: Vec<_> = me["memberships"].as_array().unwrap().iter().map(|one| one["slug"].clone()).collect();
        assert_eq!(slugs, ["acme", "globex"]);
        let mut wrong = body;
        wrong["password"] = json!("a stranger's guess at it");
        assert_eq!(server.nobody().post("/v1/sessions", wrong).await.problem(401), "unauthenticated");
    }
}

#[tokio::test]
async fn a_wrong_code_is_told_from_the_right_one_alone() {
    let server = confirming(Starting::new()).start();
    let acme = server.nobody().post("/v1/signups", signup("Acme", "ada@acme.example")).await.expect(202);
    let globex =
        server.nobody().post("/v1/signups", signup("Globex", "bob@globex.example")).await.expect(202);
    let of_globex = server.letter("bob@globex.example", 1).await.code();
    let of_acme = server.letter("ada@acme.example", 1).await.code();
    if of_acme != of_globex {
        assert_eq!(
            enter(&server, &acme, &of_globex).await.problem(422),
            "code_wrong",
            "a code is for its signup"
        );
    }
    assert_eq!(enter(&server, &acme, &other_than(&of_acme)).await.problem(422), "code_wrong");
    assert_eq!(enter(&server, &acme, "").await.problem(422), "code_wrong");
    let spaced = format!(" {} {} ", &of_globex[..4], &of_globex[4..]);
    enter(&server, &globex, &spaced).await.expect(202);
}
