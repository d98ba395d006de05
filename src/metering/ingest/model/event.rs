//! Reads CloudEvents 1.0 in its JSON formats: one event, a batch of them, and the attributes of the binary mode.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// Most events of a call.
pub const MOST: usize = 1_000;
/// Longest attribute, in characters.
const LONGEST: usize = 255;

/// Why an event is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The event's id, when it could be read.
    pub id: Option<String>,
    /// Stable, machine-readable.
    pub code: &'static str,
    /// What is wrong with it, for people.
    pub detail: String,
}

impl Rejection {
    /// Of an event whose id is not known here; see [`Rejection::of`].
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { id: None, code, detail: detail.into() }
    }

    /// The same, of the event with this id.
    #[must_use]
    pub fn of(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }
}

/// An event whose envelope is in order.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its id, once in its source.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// What happened: by this, meters know it.
    pub kind: String,
    /// Whose use it is.
    pub subject: Option<String>,
    /// When it happened; when it came in, if that is not said.
    pub time: Option<Ts>,
    /// What it says.
    pub data: Option<&'a RawValue>,
}

/// The attributes as they were sent.
#[derive(Debug, Default, Deserialize)]
pub struct Attributes<'a> {
    /// `specversion`.
    pub specversion: Option<String>,
    /// `id`.
    pub id: Option<String>,
    /// `source`.
    pub source: Option<String>,
    /// `type`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `subject`.
    pub subject: Option<String>,
    /// `time`.
    pub time: Option<String>,
    /// `data`.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

/// In which form a body holds its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One event.
    One,
    /// A list of events.
    Batch,
    /// Either.
    Either,
}

/// Takes a body apart, without a look into its events.
///
/// # Errors
/// [`Error::Malformed`] for what is not JSON of that form; [`Error::TooLarge`] for more than [`MOST`].
pub fn split(body: &[u8], form: Form) -> Result<Vec<&RawValue>> {
    let malformed = |detail: String| Error::Malformed { code: "malformed_json", detail };
    let unread = |error: serde_json::Error| malformed(format!("the body is not JSON: {error}"));
    let first = body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let all: Vec<&RawValue> = match (first, form) {
        (Some(b'['), Form::Batch | Form::Either) => serde_json::from_slice(body).map_err(unread)?,
        (Some(b'{'), Form::One | Form::Either) => vec![serde_json::from_slice(body).map_err(unread)?],
        (_, form) => {
            serde_json::from_slice::<&RawValue>(body).map_err(unread)?;
            let wanted = match form {
                Form::One => "one event: a JSON object",
                Form::Batch => "a list of events: a JSON array of objects",
                Form::Either => "an event or a list of events: a JSON object or an array of them",
            };
            return Err(Error::Malformed {
                code: "malformed_batch",
                detail: format!("the body is not {wanted}"),
            });
        }
    };
    if all.len() > MOST {
        return Err(Error::TooLarge(format!("a call takes {MOST} events, these are {}", all.len())));
    }
    Ok(all)
}

/// Reads one event.
///
/// # Errors
/// Why it is not one.
pub fn read(raw: &RawValue) -> std::result::Result<Event<'_>, Rejection> {
    let attributes: Attributes<'_> = serde_json::from_str(raw.get())
        .map_err(|error| Rejection::new("malformed_event", format!("this is no CloudEvent: {error}")))?;
    attributes.check()
}

impl<'a> Attributes<'a> {
    /// The event that these are the attributes of.
    ///
    /// # Errors
    /// Why there is none.
    pub fn check(self) -> std::result::Result<Event<'a>, Rejection> {
        let id = text("id", self.id)?;
        let wrong = |rejection: Rejection| rejection.of(&id);
        match self.specversion.as_deref() {
            Some("1.0") => {}
            other => {
                let said = other.map_or("is missing".to_owned(), |other| format!("is {other:?}"));
                let detail = format!("specversion {said}: only 1.0 is read");
                return Err(wrong(Rejection::new("unsupported_specversion", cut(&detail))));
            }
        }
        let source = text("source", self.source).map_err(wrong)?;
        let kind = text("type", self.kind).map_err(wrong)?;
        let subject =
            self.subject.map(|subject| text("subject", Some(subject))).transpose().map_err(wrong)?;
        let time = match self.time {
            None => None,
            Some(time) => Some(time.parse::<Ts>().map_err(|_| {
                wrong(Rejection::new("invalid_attribute", "time is no moment as RFC 3339 writes it"))
            })?),
        };
        Ok(Event { id, source, kind, subject, time, data: self.data })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn text(name: &str, value: Option<String>) -> std::result::Result<String, Rejection> {
    let wrong = |what: String| Rejection::new("invalid_attribute", format!("{name} {what}"));
    let value = value.ok_or_else(|| wrong("is missing".into()))?;
    if value.is_empty() {
        return Err(wrong("is empty".into()));
    }
    // No text has more characters than bytes.
    if value.len() > LONGEST && value.chars().count() > LONGEST {
        return Err(wrong(format!("is longer than {LONGEST} characters")));
    }
    if value.chars().any(char::is_control) {
        return Err(wrong("holds a control character".into()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn one(value: &Value) -> std::result::Result<(String, String, String, Option<Ts>), Rejection> {
        let text = value.to_string();
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        read(raw).map(|event| (event.id, event.source, event.kind, event.time))
    }

    fn good() -> Value {
        json!({ "specversion": "1.0", "id": "1", "source": "/api", "type": "calls", "traceparent": "00-1-2-03", "data": { "value": 2 } })
    }

    #[test]
    fn an_event_is_read_with_extensions_that_nobody_asked_for() {
        assert_eq!(one(&good()).unwrap(), ("1".into(), "/api".into(), "calls".into(), None));
        let mut timed = good();
        timed["time"] = json!("2026-02-28T23:59:60.5+01:00");
        assert!(one(&timed).unwrap().3.is_some());
    }

    #[test]
    fn each_attribute_that_is_wrong_is_named() {
        for (name, value, code) in [
            ("specversion", json!("0.3"), "unsupported_specversion"),
            ("specversion", Value::Null, "unsupported_specversion"),
            ("id", json!(""), "invalid_attribute"),
            ("id", Value::Null, "invalid_attribute"),
            ("id", json!(5), "malformed_event"),
            ("source", json!("a\u{0}"), "invalid_attribute"),
            ("source", json!("é".repeat(256)), "invalid_attribute"),
            ("type", json!({}), "malformed_event"),
            ("subject", json!(""), "invalid_attribute"),
            ("time", json!("yesterday"), "invalid_attribute"),
        ] {
            let mut event = good();
            event[name] = value;
            let rejected = one(&event).unwrap_err();
            assert_eq!(rejected.code, code, "{event}");
            assert!(rejected.id.is_none() || rejected.id.as_deref() == Some("1"));
        }
        let mut longest = good();
        longest["source"] = json!("é".repeat(255));
        assert!(one(&longest).is_ok());
    }

    #[test]
    fn a_body_is_of_the_form_that_was_said() {
        assert_eq!(split(b" [{}, 1]", Form::Batch).unwrap().len(), 2);
        assert_eq!(split(b"{}", Form::One).unwrap().len(), 1);
        assert_eq!(split(b"[]", Form::Either).unwrap().len(), 0);
        for (body, form) in [
            (&b"[]"[..], Form::One),
            (b"{}", Form::Batch),
            (b"1", Form::Either),
            (b"", Form::One),
            (b"[{}", Form::Batch),
            (b"\xff", Form::Either),
        ] {
            assert!(matches!(split(body, form), Err(Error::Malformed { .. })), "{body:?}");
        }
        let many = format!("[{}1]", "1,".repeat(MOST));
        assert!(matches!(split(many.as_bytes(), Form::Batch), Err(Error::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_reader(body: Vec<u8>) {
            for raw in split(&body, Form::Either).unwrap_or_default() { drop(read(raw)); }
        }

        #[test]
        fn no_event_breaks_the_reader(text in r#"\[?\{("(id|source|type|time|specversion|data)":("[^"]{0,20}"|[0-9eE.+-]{1,8}|null|\{\}|\[[0-9]\]),?){0,6}\}?\]?"#) {
            for raw in split(text.as_bytes(), Form::Either).unwrap_or_default() {
                if let Ok(event) = read(raw) {
                    prop_assert!(!event.id.is_empty() && event.id.chars().count() <= LONGEST);
                }
            }
        }
    }
}
