//! Stripe collects: what it is told, whatever goes wrong on the way, and what its notifications do.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry::auth::Caller;
use tenantry::billing::Wanted;
use tenantry::catalog::model::Interval;
use tenantry::db::{Db, Options};
use tenantry::kernel::clock::Clock;

use crate::on_each_engine;
use crate::world::server::{Answer, Server, Settler, Starting, eventually};
use crate::world::stripe::{KEY, Manner, SECRET, Stripe, signed};

async fn handed_over(server: &Server, tenant: &Settler) {
    let answer = server.operator().post(&format!("{}/billing/hand-over", tenant.admin()), json!({})).await;
    server.until_done(answer.expect(202)["operation"]["id"].as_str().unwrap()).await;
}

/// The tenant buys the plan `pro`, and Stripe gets to know.
async fn buys(server: &Server, tenant: &Settler) {
    tenant.owner.post("/v1/tenant/subscription/change", json!({ "plan": "pro" })).await.expect(200);
    eventually("Stripe to know", || async {
        let account = billing(server, tenant).await;
        (account["in_step"] == true && account["subscription"].is_string()).then_some(())
    })
    .await;
}

/// How the tenant's subscription stands.
async fn stands(server: &Server, tenant: &Settler) -> Value {
    server.operator().get(&format!("{}/subscription", tenant.admin())).await.expect(200)["state"].clone()
}

/// The tenant's newest invoice.
async fn newest(server: &Server, tenant: &Settler) -> Value {
    server.operator().get(&format!("{}/invoices", tenant.admin())).await.expect(200)["data"][0].clone()
}

async fn billing(server: &Server, tenant: &Settler) -> Value {
    server.operator().get(&format!("{}/billing", tenant.admin())).await.expect(200)
}

/// An invoice of one line of this kind.
async fn charged(server: &Server, tenant: &Settler, kind: &str, price: i64) -> Value {
    let lines =
        json!([{ "kind": kind, "description": format!("A {kind}"), "quantity": 1, "unit_price": price }]);
    let body = json!({ "tenant": tenant.id, "currency": "EUR", "lines": lines });
    server.operator().post("/admin/v1/invoices", body).await.expect(201)
}

async fn state(server: &Server, invoice: &Value) -> Value {
    let path = format!("/admin/v1/invoices/{}", invoice["id"].as_str().unwrap());
    server.operator().get(&path).await.expect(200)["state"].clone()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn event(id: &str, kind: &str, created: i64, object: Value) -> String {
    json!({ "id": id, "object": "event", "type": kind, "created": created, "data": { "object": object } })
        .to_string()
}

async fn deliver(server: &Server, body: &str, signature: &str) -> Answer {
    let request =
        server.nobody().request("POST", "/v1/billing/stripe/webhook").header("stripe-signature", signature);
    let request = request.header("content-type", "application/json; charset=utf-8").body(body.to_owned());
    server.nobody().send(request).await
}

/// What became of an event that is signed well.
async fn told(server: &Server, body: &str) -> Value {
    deliver(server, body, &signed(SECRET, now(), body)).await.expect(200)["outcome"].clone()
}

on_each_engine! {
    async fn a_tenant_becomes_one_customer_with_one_subscription_that_follows_it(scene) {
        let stripe = Stripe::start();
        let (starting, _database) = scene.starting();
        let server = stripe.collects_for(starting).start();
        let acme = server.settle("Acme").await;
        assert_eq!(stripe.seen().len(), 0, "who pays nothing is none of Stripe's business");
        buys(&server, &acme).await;
        let customers = stripe.things("customers");
        assert_eq!(customers.len(), 1);
        assert_eq!((&customers[0]["name"], &customers[0]["email"]), (&json!("Acme"), &json!("owner@acme.example")));
        assert_eq!(customers[0]["metadata"]["tenantry_tenant"], json!(acme.id));
        let subscriptions = stripe.things("subscriptions");
        assert_eq!(subscriptions.len(), 1);
        let price = &subscriptions[0]["items"]["data"][0]["price"];
        assert_eq!((&price["unit_amount"], &price["currency"]), (&json!("4900"), &json!("eur")));
        assert_eq!((&price["recurring"]["interval"], &price["product"]), (&json!("month"), &json!("tenantry_pro")));
        assert_eq!(subscriptions[0]["collection_method"], "send_invoice");
        let account = billing(&server, &acme).await;
        assert_eq!((&account["provider"], &account["customer"]), (&json!("stripe"), &customers[0]["id"]));
        assert_eq!((&account["subscription"], &account["status"]), (&subscriptions[0]["id"], &json!("active")));
        assert_eq!((&account["in_step"], &account["operation_id"]), (&json!(true), &Value::Null));

        handed_over(&server, &acme).await;
        assert_eq!((stripe.things("customers").len(), stripe.things("subscriptions").len()), (1, 1));
        let seen = stripe.seen();
        let update = seen.last().unwrap();
        assert_eq!(update.call, format!("POST /v1/subscriptions/{}", account["subscription"].as_str().unwrap()));
        assert_eq!(update.fields["proration_behavior"], "none", "prorations are reckoned here");
        let keys: Vec<_> = seen.iter().filter_map(|one| one.once.as_ref()).collect();
        assert!(keys.iter().all(|key| key.starts_with("op_")), "{keys:?}");

        let id = account["subscription"].as_str().unwrap();
        stripe.ends(id);
        handed_over(&server, &acme).await;
        assert_eq!(stripe.things("subscriptions").len(), 2, "one that ended there is made anew");
        let deletion = server.operator().delete(&acme.admin()).await.expect(202);
        server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
        eventually("the subscription to end with its tenant", || async {
            stripe.things("subscriptions").iter().all(|one| one["status"] == "canceled").then_some(())
        })
        .await;
        stripe.seen();
    }
}

#[tokio::test]
async fn whatever_goes_wrong_on_the_way_there_is_one_customer_and_one_subscription() {
    let stripe = Stripe::start();
    let server = stripe.collects_for(Starting::new()).start();
    let all = [
        Manner::Fails,
        Manner::FailsForGood,
        Manner::CutsOff,
        Manner::HangsUp,
        Manner::Slow(Duration::from_secs(3)),
        Manner::TooMany(1),
    ];
    for (at, manner) in all.into_iter().enumerate() {
        let tenant = server.settle(&format!("Acme{at}")).await;
        stripe.next("POST /v1/customers", &[manner]);
        stripe.next("POST /v1/subscriptions", &[manner]);
        buys(&server, &tenant).await;
        for kind in ["customers", "subscriptions"] {
            let ours = |one: &&Value| one["metadata"]["tenantry_tenant"] == json!(tenant.id);
            assert_eq!(stripe.things(kind).iter().filter(ours).count(), 1, "{kind}, {manner:?}");
        }
        let account = billing(&server, &tenant).await;
        assert!(account["subscription"].is_string() && account["in_step"] == true, "{account:#}");
    }
    stripe.seen();
}

#[tokio::test]
async fn killed_after_a_call_and_before_its_record_it_goes_on_with_what_is_there() {
    let stripe = Stripe::start();
    let names = "billing.hand_over/customer/after,billing.hand_over/subscription/after";
    let mut server = stripe.collects_for(Starting::new()).failpoint(names).start();
    let acme = server.settle("Acme").await;
    acme.owner.post("/v1/tenant/subscription/change", json!({ "plan": "pro" })).await.expect(200);
    let operation = billing(&server, &acme).await["operation_id"].as_str().unwrap().to_owned();
    for step in ["customer", "subscription"] {
        server.wait_until_held(&format!("billing.hand_over/{step}/after"));
        server.kill();
        server.arm("billing.hand_over/subscription/after");
        if step == "subscription" {
            server.disarm();
        }
        server.start();
    }
    server.until_done(&operation).await;
    assert_eq!((stripe.things("customers").len(), stripe.things("subscriptions").len()), (1, 1));
    stripe.seen();
}

on_each_engine! {
    async fn a_payment_settles_the_oldest_invoice_once_however_it_is_told(scene) {
        let stripe = Stripe::start();
        let (starting, _database) = scene.starting();
        let server = stripe.collects_for(starting).start();
        let acme = server.settle("Acme").await;
        buys(&server, &acme).await;
        let account = billing(&server, &acme).await;
        let (customer, subscription) = (account["customer"].clone(), account["subscription"].clone());
        let first = newest(&server, &acme).await;
        assert_eq!((&first["total"], &first["state"]), (&json!(4_900), &json!("open")));
        let second = charged(&server, &acme, "plan", 4_900).await;
        let paid = json!({ "id": "in_1", "object": "invoice", "customer": customer, "currency": "eur", "amount_paid": 4_900 });

        let failed = event("evt_0", "invoice.payment_failed", now(), json!({ "id": "in_1", "customer": customer }));
        assert_eq!(told(&server, &failed).await, "taken");
        assert_eq!(stands(&server, &acme).await, "past_due");
        let body = event("evt_1", "invoice.paid", now(), paid.clone());
        for (signature, code) in [
            (signed("whsec_another", now(), &body), "bad_signature"),
            (signed(SECRET, now() - 301, &body), "signature_expired"),
            (signed(SECRET, now(), &body.replace("4900", "1")), "bad_signature"),
            (String::new(), "bad_signature"),
        ] {
            assert_eq!(deliver(&server, &body, &signature).await.problem(400), code);
        }
        assert_eq!(state(&server, &first).await, "open", "what was forged or old did nothing");
        let signature = signed(SECRET, now(), &body);
        let (one, two) = tokio::join!(deliver(&server, &body, &signature), deliver(&server, &body, &signature));
        let mut outcomes = [one.expect(200)["outcome"].to_string(), two.expect(200)["outcome"].to_string()];
        outcomes.sort();
        assert_eq!(outcomes, ["\"repeated\"", "\"taken\""]);
        assert_eq!((state(&server, &first).await, state(&server, &second).await), (json!("paid"), json!("open")));
        assert_eq!(stands(&server, &acme).await, "active", "what followed is cleared in the same transaction");
        assert_eq!(told(&server, &body).await, "repeated");
        let again = event("evt_2", "invoice.paid", now(), paid);
        assert_eq!(told(&server, &again).await, "ignored", "another event about the same payment");
        let failed = event("evt_3", "invoice.payment_failed", now() - 60, json!({ "id": "in_1", "customer": customer }));
        assert_eq!(told(&server, &failed).await, "ignored", "a failure that was overtaken");
        assert_eq!(stands(&server, &acme).await, "active");
        let failed = event("evt_4", "invoice.payment_failed", now(), json!({ "id": "in_2", "customer": customer }));
        assert_eq!(told(&server, &failed).await, "taken");
        assert_eq!(state(&server, &second).await, "open");

        let became = |id: &str, status: &str, at: i64| {
            event(id, "customer.subscription.updated", at, json!({ "id": subscription, "customer": customer, "status": status }))
        };
        assert_eq!(told(&server, &became("evt_5", "past_due", now())).await, "taken");
        assert_eq!(told(&server, &became("evt_6", "active", now() - 100)).await, "ignored", "it was so before");
        assert_eq!(billing(&server, &acme).await["status"], "past_due");
        for (id, kind, object) in [
            ("evt_7", "charge.refunded", json!({ "id": "ch_1", "customer": customer })),
            ("evt_8", "invoice.paid", json!({ "id": "in_9", "customer": "cus_stranger", "currency": "eur", "amount_paid": 4_900 })),
            ("evt_9", "brand.new.kind", json!([])),
        ] {
            assert_eq!(told(&server, &event(id, kind, now(), object)).await, "ignored", "{kind}");
        }
        assert_eq!(state(&server, &second).await, "open");
        let ended = json!({ "id": subscription, "customer": customer, "status": "canceled" });
        assert_eq!(told(&server, &event("evt_10", "customer.subscription.deleted", now() + 1, ended)).await, "taken");
        let account = billing(&server, &acme).await;
        assert_eq!((&account["status"], &account["subscription"]), (&json!("ended"), &Value::Null));
        assert_eq!(stands(&server, &acme).await, "canceled", "it ended there, so it ends here");
        let broken = deliver(&server, "{", &signed(SECRET, now(), "{")).await;
        assert_eq!(broken.problem(400), "malformed_event");
    }
}

#[tokio::test]
async fn what_an_invoice_charges_beside_the_plan_is_charged_once() {
    let stripe = Stripe::start();
    let server = stripe.collects_for(Starting::new()).start();
    let acme = server.settle("Acme").await;
    buys(&server, &acme).await;
    stripe.next("POST /v1/invoiceitems", &[Manner::CutsOff, Manner::TooMany(1), Manner::Fails]);
    charged(&server, &acme, "plan", 4_900).await;
    let lines = json!([
        { "kind": "plan", "description": "Pro", "quantity": 1, "unit_price": 4_900 },
        { "kind": "usage", "description": "Calls", "quantity": 3, "unit_price": 200 },
        { "kind": "credit", "description": "Sorry", "quantity": 1, "unit_price": -100 },
        { "kind": "proration", "description": "More", "quantity": 1, "unit_price": 50 },
    ]);
    let period = json!({ "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z" });
    let body = json!({ "tenant": acme.id, "currency": "EUR", "lines": lines, "period": period });
    let invoice = server.operator().post("/admin/v1/invoices", body).await.expect(201);
    let path = format!("/admin/v1/operations?kind=billing.charge&tenant={}", acme.id);
    eventually("the lines to be charged", || async {
        let found = server.operator().get(&path).await.expect(200)["data"].clone();
        assert_eq!(found.as_array().unwrap().len(), 1, "an invoice of the plan alone charges nothing more");
        assert_ne!(found[0]["state"], "failed", "{found:#}");
        (found[0]["state"] == "succeeded").then_some(())
    })
    .await;
    let items = stripe.things("invoiceitems");
    let mut amounts: Vec<i64> =
        items.iter().map(|item| item["amount"].as_str().unwrap().parse().unwrap()).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [-100, 50, 600]);
    let subscription = billing(&server, &acme).await["subscription"].clone();
    for item in items {
        assert_eq!(
            (&item["subscription"], &item["metadata"]["tenantry_invoice"]),
            (&subscription, &invoice["id"])
        );
    }
    stripe.seen();
}

/// Hands over what a subscription would, and waits until Stripe knows.
async fn wants(server: &Server, tenant: &Settler, wanted: &Wanted) {
    let settings = tenantry::config::load(&server.inputs()).unwrap().settings;
    let db = Db::open(settings.store.url.expose(), &Options::default()).await.unwrap();
    let provider = tenantry::billing::provider::open(&settings).unwrap();
    let (id, wanted) = (tenant.id.parse().unwrap(), wanted.clone());
    let caller = Caller::system("test");
    let hand_over =
        move |conn: &mut _| provider.hand_over_in(conn, &caller, Clock::system().now(), id, wanted.clone());
    db.write(hand_over).await.unwrap();
    eventually("Stripe to know", || async {
        (billing(server, tenant).await["in_step"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn trial_pause_price_and_end_reach_stripe_as_they_are_wanted() {
    let stripe = Stripe::start();
    let server = stripe.collects_for(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let wanted = Wanted {
        plan: "big".into(),
        name: "Big".into(),
        price: 0,
        currency: "JPY".into(),
        interval: Interval::Year,
        trial_ends_at: Some("2100-01-01T00:00:00Z".parse().unwrap()),
        cancel_at_period_end: false,
        paused: false,
        ended: false,
    };
    wants(&server, &acme, &wanted).await;
    assert_eq!(stripe.seen().len(), 0, "who pays nothing is none of Stripe's business");
    let wanted = Wanted { price: 500, ..wanted };
    wants(&server, &acme, &wanted).await;
    let made = |at: usize| stripe.things("subscriptions")[at].clone();
    let price = |at: usize| made(at)["items"]["data"][0]["price"].clone();
    assert_eq!((&made(0)["trial_end"], &made(0)["status"]), (&json!("4102444800"), &json!("trialing")));
    assert_eq!(
        (&price(0)["unit_amount"], &price(0)["recurring"]["interval"]),
        (&json!("500"), &json!("year"))
    );
    assert_eq!(billing(&server, &acme).await["status"], "trialing");
    let wanted = Wanted { paused: true, price: 700, ..wanted };
    wants(&server, &acme, &wanted).await;
    assert_eq!(
        (&made(0)["pause_collection"]["behavior"], &price(0)["unit_amount"]),
        (&json!("void"), &json!("700"))
    );
    assert_eq!(billing(&server, &acme).await["status"], "paused");
    let wanted = Wanted { paused: false, cancel_at_period_end: true, ..wanted };
    wants(&server, &acme, &wanted).await;
    assert_eq!(
        (&made(0)["pause_collection"], &made(0)["cancel_at_period_end"]),
        (&Value::Null, &json!("true"))
    );
    wants(&server, &acme, &Wanted { price: 0, ..wanted.clone() }).await;
    assert_eq!(made(0)["status"], "canceled");
    let account = billing(&server, &acme).await;
    assert_eq!((&account["status"], &account["subscription"]), (&json!("ended"), &Value::Null));
    let wanted = Wanted { paused: true, cancel_at_period_end: false, ..wanted };
    wants(&server, &acme, &wanted).await;
    assert_eq!(made(1)["pause_collection"]["behavior"], "void", "one that begins paused");
    wants(&server, &acme, &Wanted { ended: true, ..wanted }).await;
    assert_eq!((made(1)["status"].clone(), stripe.things("customers").len()), (json!("canceled"), 1));
    // The last usage comes when there is no subscription to put it on.
    charged(&server, &acme, "usage", 300).await;
    let bill = eventually("an invoice of its own", || async { stripe.things("invoices").pop() }).await;
    assert_eq!((&bill["auto_advance"], stripe.things("invoiceitems").len()), (&json!("true"), 1));
    stripe.seen();
}

#[tokio::test]
async fn a_key_that_stripe_refuses_or_quotes_is_told_and_never_shown() {
    let stripe = Stripe::start();
    let mut server = stripe
        .collects_for(Starting::new())
        .set("OPERATIONS__MAX_ATTEMPTS", 1)
        .set("LOG__LEVEL", "trace")
        .start();
    let acme = server.settle("Acme").await;
    let operator = server.operator();
    let free = operator.post(&format!("{}/billing/hand-over", acme.admin()), json!({})).await;
    assert_eq!(free.problem(409), "nothing_to_collect");
    let mut shown = String::new();
    for manner in [Manner::BadKey, Manner::Tells] {
        stripe.next("POST /v1/customers", &[manner]);
        let operation = match manner {
            Manner::BadKey => {
                acme.owner.post("/v1/tenant/subscription/change", json!({ "plan": "pro" })).await.expect(200);
                billing(&server, &acme).await["operation_id"].clone()
            }
            _ => {
                let answer = operator.post(&format!("{}/billing/hand-over", acme.admin()), json!({})).await;
                answer.expect(202)["operation"]["id"].clone()
            }
        };
        let path = format!("/admin/v1/operations/{}", operation.as_str().unwrap());
        let failed = eventually("the hand-over to fail", || async {
            let found = operator.get(&path).await.expect(200);
            (found["state"] == "failed").then_some(found)
        })
        .await;
        shown.push_str(&failed.to_string());
    }
    assert!(shown.contains("billing.stripe.secret_key") && shown.contains("No such ***"), "{shown}");
    handed_over(&server, &acme).await;
    let body = event("evt_1", "invoice.paid", now(), json!({}));
    told(&server, &body).await;
    deliver(&server, &body, &signed(KEY, now(), &body)).await.problem(400);
    shown.push_str(&operator.get("/admin/v1/config").await.text);
    shown.push_str(&server.log());
    assert!(server.stop(), "it ends well");
    for secret in [KEY, SECRET] {
        assert!(!shown.contains(secret) && !server.log().contains(secret));
    }
    stripe.seen();
}

#[tokio::test]
async fn stripe_without_its_keys_is_refused_at_the_start() {
    let mut server = Starting::new().set("BILLING__PROVIDER", "stripe").stopped();
    let said = server.start_refused();
    for key in ["billing.stripe.secret_key", "billing.stripe.webhook_secret"] {
        assert!(said.contains(key), "{said}");
    }
}
