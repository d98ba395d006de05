//! Invitations: a place in a tenant, held for an address.

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::server::{Answer, Client, PASSWORD, Server, Settler, Starting, eventually};

const NEW: &str = "a fresh staple of horses";

const PLANS: &str = r#"
[plans.free]
name = "Free"
[plans.free.limits]
members = 5
"#;

/// A server whose tenants have five seats.
fn small(starting: Starting) -> Starting {
    starting.file("plans.toml", PLANS).set("PLANS__FILE", "plans.toml").set("MAIL__RESEND_COOLDOWN_S", 0)
}

async fn invite(who: &Client, email: &str, role: &str) -> Answer {
    who.post("/v1/tenant/invitations", json!({ "email": email, "role": role })).await
}

async fn accept(who: &Client, token: &str, password: Option<&str>) -> Answer {
    let mut body = json!({ "token": token });
    if let Some(password) = password {
        body["password"] = json!(password);
    }
    who.post("/v1/invitations/accept", body).await
}

async fn sign_in(server: &Server, email: &str, password: &str, tenant: &str) -> Client {
    let body = json!({ "email": email, "password": password, "tenant": tenant });
    let session = server.nobody().post("/v1/sessions", body).await.expect(200);
    server.with(session["access_token"].as_str().unwrap())
}

/// Invites somebody new, who accepts; answers them signed in.
async fn join(server: &Server, to: &Settler, email: &str, role: &str) -> Client {
    invite(&to.owner, email, role).await.expect(201);
    let token = server.letter(email, 1).await.token();
    accept(&server.nobody(), &token, Some(NEW)).await.expect(201);
    sign_in(server, email, NEW, &to.slug).await
}

on_each_engine! {
    async fn somebody_new_joins_with_the_token_from_the_mail_and_a_password(scene) {
        let (starting, _database) = scene.starting();
        let server = small(starting).start();
        let acme = server.settle("Acme").await;
        let made = invite(&acme.owner, " Grace@acme.example", "developer").await.expect(201);
        assert_eq!((&made["email"], &made["role"], &made["state"]), (&json!("grace@acme.example"), &json!("developer"), &json!("open")));
        assert!(made["id"].as_str().unwrap().starts_with("inv_") && !made.to_string().contains("tnt_inv_"));
        assert_eq!(invite(&acme.owner, "grace@acme.example", "viewer").await.problem(409), "already_invited");
        let letter = server.letter("grace@acme.example", 1).await;
        assert_eq!(letter.subject(), "You are invited to Acme");
        let nobody = server.nobody();
        let token = letter.token();
        assert_eq!(accept(&nobody, &token, None).await.pointers(), ["/password"]);
        assert_eq!(accept(&nobody, &token, Some("password")).await.pointers(), ["/password"]);
        let at_once = futures_util::future::join_all((0..8).map(|_| accept(&nobody, &token, Some(NEW)))).await;
        assert_eq!(at_once.iter().filter(|answer| answer.status == 201).count(), 1, "{at_once:#?}");
        let joined = at_once.iter().find(|answer| answer.status == 201).unwrap().json();
        assert_eq!((&joined["role"], &joined["tenant"]["slug"]), (&json!("developer"), &json!("acme")));
        assert_eq!(accept(&nobody, &token, Some(NEW)).await.problem(422), "invitation_void");
        let grace = sign_in(&server, "grace@acme.example", NEW, "acme").await;
        grace.query("SELECT count(*) FROM notes", json!([])).await.expect(200);
        assert_eq!(invite(&grace, "x@acme.example", "viewer").await.problem(403), "insufficient_role");
        assert_eq!(invite(&acme.owner, "grace@acme.example", "viewer").await.problem(409), "already_member");
        let path = format!("/v1/tenant/invitations/{}", made["id"].as_str().unwrap());
        let taken = acme.owner.get(&path).await.expect(200);
        assert_eq!((&taken["state"], &taken["user_id"]), (&json!("accepted"), &joined["user_id"]));
        assert_eq!(acme.owner.delete(&path).await.problem(409), "invitation_closed");
    }
}

on_each_engine! {
    async fn somebody_known_joins_with_their_password_or_their_session(scene) {
        let (starting, _database) = scene.starting();
        let server = small(starting).start();
        let (acme, globex, third) = (server.settle("Acme").await, server.settle("Globex").await, server.settle("Third").await);
        let known = "owner@globex.example";
        invite(&acme.owner, known, "admin").await.expect(201);
        let token = server.letter(known, 1).await.token();
        assert_eq!(accept(&server.nobody(), &token, Some("wrong")).await.problem(403), "wrong_password");
        assert_eq!(accept(&third.owner, &token, None).await.problem(403), "invitation_for_another");
        accept(&server.nobody(), &token, Some(PASSWORD)).await.expect(201);
        invite(&third.owner, known, "viewer").await.expect(201);
        let token = server.letter(known, 2).await.token();
        accept(&globex.owner, &token, None).await.expect(201);
        let me = globex.owner.get("/v1/me").await.expect(200);
        let roles: Vec<_> = me["memberships"].as_array().unwrap().iter().map(|one| (one["slug"].clone(), one["role"].clone())).collect();
        assert_eq!(roles, [(json!("globex"), json!("owner")), (json!("acme"), json!("admin")), (json!("third"), json!("viewer"))]);
    }
}

on_each_engine! {
    async fn of_many_invitations_at_once_just_those_that_fit_the_plan_are_made(scene) {
        let (starting, _database) = scene.starting();
        let server = small(starting).start();
        let acme = server.settle("Acme").await;
        let invited = (0..64).map(|number| {
            let owner = acme.owner.clone();
            async move {
                loop {
                    let answer = invite(&owner, &format!("p{number}@acme.example"), "viewer").await;
                    // As it is told: the store was busy, try again.
                    if answer.status != 503 {
                        return answer;
                    }
                }
            }
        });
        let answers = futures_util::future::join_all(invited).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 4, "five seats, one taken by the owner");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(refused.problem(409), "member_limit_reached");
        }
        let open = acme.owner.get("/v1/tenant/invitations").await.expect(200);
        let first = open["data"][0]["id"].as_str().unwrap();
        acme.owner.delete(&format!("/v1/tenant/invitations/{first}")).await.expect(200);
        invite(&acme.owner, "next@acme.example", "viewer").await.expect(201);
        assert_eq!(invite(&acme.owner, "one.more@acme.example", "viewer").await.problem(409), "member_limit_reached");
        // A seat that is held is one that can be taken, also when the plan is full.
        let token = server.letter("next@acme.example", 1).await.token();
        accept(&server.nobody(), &token, Some(NEW)).await.expect(201);
    }
}

on_each_engine! {
    async fn one_address_has_one_open_invitation_however_many_ask(scene) {
        let (starting, _database) = scene.starting();
        let server = small(starting).start();
        let acme = server.settle("Acme").await;
        let answers = futures_util::future::join_all((0..16).map(|_| invite(&acme.owner, "grace@acme.example", "viewer"))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        server.letter("grace@acme.example", 1).await;
        let sends = server.operator().get("/admin/v1/operations?kind=mail.send").await.expect(200);
        assert_eq!(sends["data"].as_array().unwrap().len(), 1, "and one letter");
    }
}

#[tokio::test]
async fn an_invitation_is_sent_again_with_another_token_and_revoked() {
    let server = small(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let made = invite(&acme.owner, "grace@acme.example", "viewer").await.expect(201);
    let path = format!("/v1/tenant/invitations/{}", made["id"].as_str().unwrap());
    let first = server.letter("grace@acme.example", 1).await.token();
    let again = acme.owner.send(acme.owner.request("POST", &format!("{path}/resend"))).await.expect(200);
    assert!(again["expires_at"].as_str() > made["expires_at"].as_str());
    let second = server.letter("grace@acme.example", 2).await.token();
    assert_eq!(accept(&server.nobody(), &first, Some(NEW)).await.problem(422), "invitation_void");
    let stale = acme.owner.request("DELETE", &path).header("if-match", "\"1\"");
    assert_eq!(acme.owner.send(stale).await.problem(412), "precondition_failed");
    assert_eq!(acme.owner.delete(&path).await.expect(200)["state"], "revoked");
    assert_eq!(accept(&server.nobody(), &second, Some(NEW)).await.problem(422), "invitation_void");
    let closed = acme.owner.send(acme.owner.request("POST", &format!("{path}/resend"))).await;
    assert_eq!(closed.problem(409), "invitation_closed");
    for token in ["", "tnt_inv_", "x"] {
        assert_eq!(accept(&server.nobody(), token, Some(NEW)).await.problem(422), "invitation_void");
    }
}

#[tokio::test]
async fn a_moment_after_it_was_sent_an_invitation_is_not_sent_again() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let made = invite(&acme.owner, "grace@acme.example", "viewer").await.expect(201);
    let path = format!("/v1/tenant/invitations/{}/resend", made["id"].as_str().unwrap());
    let soon = acme.owner.send(acme.owner.request("POST", &path)).await;
    assert_eq!(soon.problem(429), "rate_limited");
    assert!(soon.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
}

#[tokio::test]
async fn an_invitation_whose_time_is_over_frees_its_seat() {
    let server = small(Starting::new()).set("MEMBERS__INVITATION_TTL_S", 1).start();
    let acme = server.settle("Acme").await;
    for number in 0..4 {
        invite(&acme.owner, &format!("p{number}@acme.example"), "viewer").await.expect(201);
    }
    let token = server.letter("p0@acme.example", 1).await.token();
    let next = eventually("a seat to be free", || async {
        let answer = invite(&acme.owner, "next@acme.example", "viewer").await;
        (answer.status == 201).then(|| answer.json())
    })
    .await;
    assert_eq!(next["state"], "open");
    eventually("the first to end", || async {
        (accept(&server.nobody(), &token, Some(NEW)).await.problem(422) == "invitation_void").then_some(())
    })
    .await;
    let list = acme.owner.get("/v1/tenant/invitations").await.expect(200);
    let first =
        list["data"].as_array().unwrap().iter().find(|one| one["email"] == "p0@acme.example").unwrap();
    assert_eq!(first["state"], "expired");
    eventually("the same address to be free again", || async {
        (invite(&acme.owner, "p0@acme.example", "viewer").await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_invites_to_more_than_they_are_and_strangers_see_nothing() {
    let server = small(Starting::new()).start();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let admin = join(&server, &acme, "admin@acme.example", "admin").await;
    assert_eq!(invite(&admin, "x@acme.example", "owner").await.problem(403), "insufficient_role");
    let key = acme.key(&["members:manage"]).await;
    for role in ["owner", "admin"] {
        assert_eq!(invite(&key, "x@acme.example", role).await.problem(403), "insufficient_role");
    }
    invite(&key, "x@acme.example", "viewer").await.expect(201);
    let made = invite(&acme.owner, "y@acme.example", "owner").await.expect(201);
    let path = format!("/v1/tenant/invitations/{}", made["id"].as_str().unwrap());
    assert_eq!(
        admin.delete(&path).await.problem(403),
        "insufficient_role",
        "an owner's invitation is an owner's"
    );
    for answer in [
        globex.owner.get(&path).await,
        globex.owner.delete(&path).await,
        globex.owner.send(globex.owner.request("POST", &format!("{path}/resend"))).await,
    ] {
        assert_eq!(answer.problem(404), "not_found");
    }
    assert!(
        globex.owner.get("/v1/tenant/invitations").await.expect(200)["data"].as_array().unwrap().is_empty()
    );
    assert_eq!(invite(&acme.program, "z@acme.example", "viewer").await.problem(403), "insufficient_scope");
    assert_eq!(invite(&acme.owner, "no address", "viewer").await.pointers(), ["/email"]);
    assert_eq!(invite(&acme.owner, "a@b.example", "king").await.pointers(), ["/role"]);
}

on_each_engine! {
    async fn the_owner_that_an_operator_names_comes_in_by_invitation(scene) {
        let (starting, _database) = scene.starting();
        let server = small(starting).start();
        let made = server.create(json!({ "name": "Acme", "owner": { "email": "ada@acme.example" } })).await;
        let admin = format!("/admin/v1/tenants/{}", made["id"].as_str().unwrap());
        let operator = server.operator();
        assert!(operator.get(&format!("{admin}/members")).await.expect(200)["data"].as_array().unwrap().is_empty());
        let lost = server.letter("ada@acme.example", 1).await.token();
        let body = json!({ "email": "ada@acme.example", "role": "owner" });
        operator.post(&format!("{admin}/invitations"), body).await.expect(201);
        assert_eq!(accept(&server.nobody(), &lost, Some(NEW)).await.problem(422), "invitation_void");
        let token = server.letter("ada@acme.example", 2).await.token();
        let joined = accept(&server.nobody(), &token, Some(NEW)).await.expect(201);
        assert_eq!(joined["role"], "owner");
        let ada = sign_in(&server, "ada@acme.example", NEW, "acme").await;
        ada.get("/v1/tenant").await.expect(200);
        let members = operator.get(&format!("{admin}/members")).await.expect(200);
        assert_eq!(members["data"][0]["email"], "ada@acme.example");
        let states: Vec<Value> = operator.get(&format!("{admin}/invitations")).await.expect(200)["data"]
            .as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
        assert_eq!(states, ["accepted", "revoked"]);
    }
}

#[tokio::test]
async fn a_repeated_invitation_with_one_idempotency_key_is_made_once() {
    let server = small(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let body = json!({ "email": "grace@acme.example", "role": "viewer" });
    let first = acme.owner.post_once("/v1/tenant/invitations", "one", body.clone()).await;
    let again = acme.owner.post_once("/v1/tenant/invitations", "one", body).await;
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let token = server.letter("grace@acme.example", 1).await.token();
    let body = json!({ "token": token, "password": NEW });
    let nobody = server.nobody();
    let joined = nobody.post_once("/v1/invitations/accept", "two", body.clone()).await.expect(201);
    assert_eq!(nobody.post_once("/v1/invitations/accept", "two", body).await.expect(201), joined);
}

#[tokio::test]
async fn a_tenant_that_is_gone_takes_its_invitations_along() {
    let server = small(Starting::new()).start();
    let acme = server.settle("Acme").await;
    join(&server, &acme, "grace@acme.example", "viewer").await;
    invite(&acme.owner, "open@acme.example", "viewer").await.expect(201);
    let token = server.letter("open@acme.example", 1).await.token();
    let gone = server.operator().delete(&acme.admin()).await.expect(202);
    server.until_done(gone["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(accept(&server.nobody(), &token, Some(NEW)).await.problem(422), "invitation_void");
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    for table in ["users", "memberships", "invitations", "sessions", "mails"] {
        let left: i64 =
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
