//! Stripe's events in our words. Kinds and fields that we do not know are passed over: Stripe adds to them.

use serde::Deserialize;
use serde_json::Value;

use super::amount;
use crate::billing::model::{News, Notice, Status};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Reads an event whose signature is good.
///
/// # Errors
/// [`Error::Malformed`] for what is no event, or one whose amount cannot be counted.
pub(super) fn read(raw: &[u8]) -> Result<Notice> {
    let malformed = |detail: String| Error::Malformed {
        code: "malformed_event",
        detail: format!("not an event of Stripe: {detail}"),
    };
    let event: Event = serde_json::from_slice(raw).map_err(|error| malformed(error.to_string()))?;
    let at = event.created.checked_mul(1_000_000).and_then(Ts::from_micros);
    if event.id.is_empty()
        || event.id.len() > 255
        || event.kind.len() > 255
        || event.id.contains('\0')
        || event.kind.contains('\0')
    {
        return Err(malformed("its id or type is no short text".to_owned()));
    }
    let news = news(&event.kind, &event.data.object)?;
    let at = at.ok_or_else(|| malformed("its time is out of range".to_owned()))?;
    Ok(Notice { id: event.id, kind: event.kind, at, news })
}

fn news(kind: &str, object: &Value) -> Result<News> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).map(str::to_owned);
    // An id, or the whole thing when it was expanded.
    let customer = object
        .get("customer")
        .and_then(|customer| customer.as_str().or_else(|| customer.get("id")?.as_str()))
        .map(str::to_owned);
    let (Some(customer), Some(reference)) = (customer, text("id")) else { return Ok(News::Other) };
    Ok(match kind {
        "invoice.paid" => {
            let amount = object.get("amount_paid").and_then(Value::as_i64);
            let (Some(currency), Some(amount)) = (text("currency"), amount) else { return Ok(News::Other) };
            let amount = amount::from_stripe(amount, &currency)?;
            News::Paid { customer, reference, currency, amount }
        }
        "invoice.payment_failed" => News::Failed { customer, reference },
        "customer.subscription.created" | "customer.subscription.updated" => {
            let paused = object.get("pause_collection").is_some_and(|pause| !pause.is_null());
            match text("status").and_then(|word| status(&word, paused)) {
                Some(status) => News::Subscription { customer, reference, status },
                None => News::Other,
            }
        }
        "customer.subscription.deleted" => News::Subscription { customer, reference, status: Status::Ended },
        _ => News::Other,
    })
}

/// How a subscription stands, by Stripe's word and whether its collection is paused (which changes no word).
pub(super) fn status(word: &str, paused: bool) -> Option<Status> {
    Some(match word {
        "canceled" | "incomplete_expired" => Status::Ended,
        "paused" => Status::Paused,
        _ if paused => Status::Paused,
        "trialing" => Status::Trialing,
        "active" => Status::Active,
        "past_due" | "unpaid" | "incomplete" => Status::PastDue,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(kind: &str, object: Value) -> News {
        let event =
            json!({ "id": "evt_1", "type": kind, "created": 1_700_000_000, "data": { "object": object } });
        read(event.to_string().as_bytes()).unwrap().news
    }

    #[test]
    fn events_are_read_and_unknown_ones_passed_over() {
        let paid = told(
            "invoice.paid",
            json!({ "id": "in_1", "customer": "cus_1", "currency": "isk", "amount_paid": 500 }),
        );
        let expected = News::Paid {
            customer: "cus_1".into(),
            reference: "in_1".into(),
            currency: "isk".into(),
            amount: 5,
        };
        assert_eq!(paid, expected);
        let expanded = told("invoice.payment_failed", json!({ "id": "in_1", "customer": { "id": "cus_1" } }));
        assert_eq!(expanded, News::Failed { customer: "cus_1".into(), reference: "in_1".into() });
        for (word, pause, expected) in [
            ("active", Value::Null, Some(Status::Active)),
            ("active", json!({ "behavior": "void" }), Some(Status::Paused)),
            ("unpaid", Value::Null, Some(Status::PastDue)),
            ("incomplete_expired", json!({}), Some(Status::Ended)),
            ("brand_new", Value::Null, None),
        ] {
            let object =
                json!({ "id": "sub_1", "customer": "cus_1", "status": word, "pause_collection": pause });
            let expected = expected.map_or(News::Other, |status| News::Subscription {
                customer: "cus_1".into(),
                reference: "sub_1".into(),
                status,
            });
            assert_eq!(told("customer.subscription.updated", object), expected);
        }
        assert_eq!(told("charge.refunded", json!({ "id": "ch_1", "customer": "cus_1" })), News::Other);
        assert_eq!(told("invoice.paid", json!([])), News::Other);
    }

    proptest::proptest! {
        #[test]
        fn no_body_breaks_the_reader(raw: Vec<u8>) {
            let _ = read(&raw);
        }
    }
}
