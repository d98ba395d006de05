//! Guessing is bounded: by address, by account, and never so that a stranger keeps an owner out.

use serde_json::{Value, json};

use crate::world::server::{Answer, PASSWORD, Server, Starting};

/// A server whose clients come from wherever a test says, with small budgets.
fn behind_a_proxy() -> Starting {
    Starting::new()
        .set("SERVER__TRUSTED_PROXIES", "127.0.0.0/8")
        .set("THROTTLE__TRIES_PER_ADDRESS", 6)
        .set("THROTTLE__TRIES_PER_ACCOUNT_AND_ADDRESS", 3)
        .set("THROTTLE__TRIES_PER_ACCOUNT", 5)
        .set("THROTTLE__SIGNUPS_PER_ADDRESS", 2)
        .without_stock()
}

async fn post(server: &Server, address: &str, path: &str, body: Value) -> Answer {
    let nobody = server.nobody();
    nobody.send(nobody.request("POST", path).header("x-forwarded-for", address).json(&body)).await
}

async fn try_in(server: &Server, address: &str, email: &str, password: &str) -> Answer {
    post(server, address, "/v1/sessions", json!({ "email": email, "password": password })).await
}

/// What a refusal for too many tries says, without the request's own id and the waiting time.
fn limited(answer: &Answer) -> Value {
    assert_eq!(answer.problem(429), "rate_limited", "{answer:?}");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let mut told = answer.json();
    told.as_object_mut().unwrap().remove("request_id");
    told
}

#[tokio::test]
async fn guesses_at_an_account_end_and_tell_nobody_whether_it_exists() {
    let server = behind_a_proxy().start();
    server.settle("Acme").await;
    let mut told = Vec::new();
    for (email, address) in [("owner@acme.example", "203.0.113.1"), ("nobody@acme.example", "203.0.113.2")] {
        for _ in 0..3 {
            assert_eq!(try_in(&server, address, email, "wrong").await.problem(401), "unauthenticated");
        }
        // Even the right password is not looked at any more.
        told.push(limited(&try_in(&server, address, email, PASSWORD).await));
        // However it is written.
        let shouted = email.to_uppercase();
        limited(&try_in(&server, address, &format!(" {shouted}"), PASSWORD).await);
    }
    assert_eq!(told[0], told[1]);
    // The owner elsewhere is not kept out.
    try_in(&server, "203.0.113.3", "owner@acme.example", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn one_address_has_so_many_guesses_over_all_accounts() {
    let server = behind_a_proxy().start();
    server.settle("Acme").await;
    for at in 0..6 {
        let email = format!("user{at}@example.com");
        assert_eq!(try_in(&server, "2001:db8:1:2::1", &email, "wrong").await.status, 401);
    }
    limited(&try_in(&server, "2001:db8:1:2::1", "owner@acme.example", PASSWORD).await);
    limited(&try_in(&server, "2001:db8:1:2:ffff::9", "owner@acme.example", PASSWORD).await);
    for _ in 0..20 {
        // Good ones cost nothing.
        try_in(&server, "2001:db8:1:3::1", "owner@acme.example", PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn a_crowd_of_strangers_is_stopped_and_the_owner_is_not() {
    let server = behind_a_proxy().start();
    server.settle("Acme").await;
    let home = "203.0.113.1";
    try_in(&server, home, "owner@acme.example", PASSWORD).await.expect(200);
    for at in 0..5 {
        let stranger = format!("198.51.100.{at}");
        assert_eq!(try_in(&server, &stranger, "owner@acme.example", "wrong").await.status, 401);
    }
    limited(&try_in(&server, "198.51.100.77", "owner@acme.example", "wrong").await);
    limited(&try_in(&server, "198.51.100.78", "owner@acme.example", PASSWORD).await);
    try_in(&server, home, "owner@acme.example", PASSWORD).await.expect(200);
    // At home too the budget of the pair counts.
    for _ in 0..3 {
        assert_eq!(try_in(&server, home, "owner@acme.example", "wrong").await.status, 401);
    }
    limited(&try_in(&server, home, "owner@acme.example", PASSWORD).await);
}

#[tokio::test]
async fn many_guesses_at_once_are_no_more_than_one_after_another() {
    let server = behind_a_proxy().start();
    server.settle("Acme").await;
    let (nobody, body) = (server.nobody(), json!({ "email": "owner@acme.example", "password": "wrong" }));
    let asked = (0..32).map(|_| {
        let request = nobody.request("POST", "/v1/sessions").header("x-forwarded-for", "203.0.113.1");
        nobody.send(request.json(&body))
    });
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 29);
}

#[tokio::test]
async fn signups_from_one_address_are_bounded_and_no_other_way_to_guess() {
    let server = behind_a_proxy().start();
    let sign_up = async |address: &str, name: &str, email: &str, password: &str| {
        let body = json!({ "organization": name, "email": email, "password": password });
        post(&server, address, "/v1/signups", body).await
    };
    sign_up("203.0.113.1", "Acme", "ada@example.com", PASSWORD).await.expect(202);
    sign_up("203.0.113.1", "Globex", "bob@example.com", PASSWORD).await.expect(202);
    limited(&sign_up("203.0.113.1", "Initech", "eve@example.com", PASSWORD).await);
    sign_up("203.0.113.2", "Initech", "eve@example.com", PASSWORD).await.expect(202);
    for at in 0..5 {
        let address = format!("198.51.100.{at}");
        sign_up(&address, "Other", "ada@example.com", "not her password").await;
    }
    limited(&try_in(&server, "198.51.100.77", "ada@example.com", PASSWORD).await);
}

#[tokio::test]
async fn who_is_no_trusted_proxy_cannot_choose_an_address() {
    let server = Starting::new().set("THROTTLE__TRIES_PER_ADDRESS", 3).without_stock().start();
    server.settle("Acme").await;
    for at in 0..3 {
        let answer =
            try_in(&server, &format!("198.51.100.{at}"), &format!("user{at}@example.com"), "x").await;
        assert_eq!(answer.status, 401);
    }
    limited(&try_in(&server, "198.51.100.9", "owner@acme.example", PASSWORD).await);
    let refused = Starting::new().set("SERVER__TRUSTED_PROXIES", "10.0.0.0/33").stopped().start_refused();
    assert!(refused.contains("server.trusted_proxies") && refused.contains("10.0.0.0/33"), "{refused}");
}
