//! Letters find their way, whatever the mail server does, and nobody waits for it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::mail::{MailServer, Manner};
use crate::world::server::{Server, Starting, eventually};

fn by_smtp(starting: Starting, port: u16) -> Starting {
    starting
        .set("MAIL__TRANSPORT", "smtp")
        .set("MAIL__SMTP__URL", format!("smtp://127.0.0.1:{port}"))
        .set("MAIL__SMTP__TIMEOUT_S", 1)
        .set("MAIL__FROM", "Acme Cloud <no-reply@acme.example>")
}

async fn ask_for_password(server: &Server, email: &str) {
    server.nobody().post("/v1/password-resets", json!({ "email": email })).await.expect(202);
}

/// The operations that deliver letters, newest first.
async fn sends(server: &Server) -> Vec<Value> {
    let page = server.operator().get("/admin/v1/operations?kind=mail.send").await.expect(200);
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn by_default_a_letter_is_a_file_for_its_owner_alone() {
    let server = Server::embedded();
    server.settle("Acme").await;
    ask_for_password(&server, "owner@acme.example").await;
    let letter = server.letter("owner@acme.example", 1).await;
    assert_eq!(letter.subject(), "Set a new password");
    for part in [
        "From: Tenantry <no-reply@localhost>",
        "Auto-Submitted: auto-generated",
        "Message-ID: <mail_",
        "multipart/alternative",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Type: text/html; charset=utf-8",
        &server.url,
    ] {
        assert!(letter.raw.contains(part), "{part}: {}", letter.raw);
    }
    let folder = server.data_dir().join("mail");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert!(!server.log().contains(&letter.token()), "no token in the log");
    let metrics = server.nobody().get("/metrics").await.text;
    assert!(
        metrics.contains(r#"tenantry_mails_total{letter="reset_password",outcome="delivered"} 1"#),
        "{metrics}"
    );
}

on_each_engine! {
    async fn a_dead_mail_server_fails_no_request_and_gets_its_letters_when_it_is_back(scene) {
        let port = MailServer::free_port();
        let (starting, _database) = scene.starting();
        let mut server = by_smtp(starting, port).start();
        server.settle("Acme").await;
        ask_for_password(&server, "owner@acme.example").await;
        let waiting = eventually("a failed try", || async {
            sends(&server).await.into_iter().find(|one| one["attempt"].as_i64().unwrap() > 0)
        })
        .await;
        assert_eq!(waiting["error"], "the mail server cannot be reached", "{waiting:#}");
        assert!(!waiting.to_string().contains("owner@acme.example"), "{waiting:#}");
        // What else is to be done goes on.
        server.settle("Globex").await;
        server.kill();
        server.start();
        let mail = MailServer::start(port, Manner::Well);
        let letter = mail.letter(1).await;
        assert_eq!((letter.to.as_str(), letter.subject().as_str()), ("owner@acme.example", "Set a new password"));
        assert!(letter.raw.contains("From: \"Acme Cloud\" <no-reply@acme.example>"), "{}", letter.raw);
        assert!(letter.raw.contains("\r\nAcme Cloud\r\n"), "the product's name: {}", letter.raw);
        server.until_done(waiting["id"].as_str().unwrap()).await;
        assert_eq!(mail.arrived().len(), 1);
        let body = json!({ "token": letter.token(), "password": "another good horse" });
        server.nobody().post("/v1/password-resets/confirm", body).await;
    }
}

#[tokio::test]
async fn a_mail_server_that_is_silent_or_cuts_off_holds_up_nothing() {
    for manner in [Manner::Silent, Manner::CutsOff] {
        let bad = MailServer::start(0, manner);
        let server =
            by_smtp(Starting::new(), bad.port).set("MAIL__RESEND_COOLDOWN_S", 0).without_stock().start();
        server.settle("Acme").await;
        for _ in 0..8 {
            ask_for_password(&server, "owner@acme.example").await;
        }
        let asked = eventually("some letters to have been tried", || async {
            let all = sends(&server).await;
            let tried = all.iter().filter(|one| one["attempt"].as_i64().unwrap() > 0).count();
            (tried > 0).then_some(all.len())
        })
        .await;
        server.settle("Globex").await;
        let port = bad.port;
        drop(bad);
        let mail = eventually("the port to be free", || async {
            std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)?;
            Some(MailServer::start(port, Manner::Well))
        })
        .await;
        mail.letter(asked).await;
    }
}

#[tokio::test]
async fn a_letter_that_is_refused_for_good_stands_failed_and_says_why() {
    let mail = MailServer::start(0, Manner::NobodyHere);
    let server = by_smtp(Starting::new(), mail.port).start();
    server.settle("Acme").await;
    ask_for_password(&server, "owner@acme.example").await;
    let failed = eventually("the letter to fail", || async {
        sends(&server).await.into_iter().find(|one| one["state"] == "failed")
    })
    .await;
    assert_eq!(failed["error"], "the mail server refused the letter for good, with code 550");
    assert_eq!(failed["attempt"], 1);
    let port = mail.port;
    drop(mail);
    let mail = eventually("the port to be free", || async {
        std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)?;
        Some(MailServer::start(port, Manner::Well))
    })
    .await;
    let id = failed["id"].as_str().unwrap();
    server.operator().post(&format!("/admin/v1/operations/{id}/retry"), json!({})).await;
    mail.letter(1).await;
}

#[tokio::test]
async fn an_operator_says_it_in_own_words_and_a_slip_is_refused_at_the_start() {
    let words = "Subject: Kennwort für {{ to }}\n\nBitte sehr:\n\n    {{ token }}\n";
    let starting = Starting::new().folder("words").file("words/reset_password.txt", words);
    let mut server = starting.set("MAIL__TEMPLATES_DIR", "words").start();
    server.settle("Acme").await;
    ask_for_password(&server, "owner@acme.example").await;
    let letter = server.letter("owner@acme.example", 1).await;
    assert!(letter.raw.contains("Bitte sehr:") && letter.token().starts_with("tnt_rst_"), "{}", letter.raw);
    server.stop();
    let path = server.data_dir().parent().unwrap().join("words/invitation.html");
    std::fs::write(path, "<p>\n{{ organisation }}</p>").unwrap();
    let told = server.start_refused();
    assert!(
        told.contains("words/invitation.html:2: mail.templates_dir: there is no `organisation` to fill in"),
        "{told}"
    );
}

#[tokio::test]
async fn a_transport_without_a_server_is_refused_and_its_password_never_shown() {
    let mut server = Starting::new().set("MAIL__TRANSPORT", "smtp").stopped();
    assert!(
        server
            .start_refused()
            .contains("mail.transport: there is no mail server to speak to; set mail.smtp.url")
    );
    server.set("MAIL__SMTP__URL", "smtps://acme:geheim@mail.acme.example");
    server.start();
    let config = server.operator().get("/admin/v1/config").await.text;
    assert!(config.contains("smtps://acme:***@mail.acme.example") && !config.contains("geheim"), "{config}");
    assert!(!server.log().contains("geheim"));
}
