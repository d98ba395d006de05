//! What all kinds of keys have in common on the command line.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::set;
use crate::auth::secret_key::Environment;
use crate::cli::Outcome;
use crate::cli::args::Extent;
use crate::cli::client::Api;
use crate::cli::operation::mention_more;
use crate::cli::out::{Look, Out};
use crate::cli::table::{Table, facts};
use crate::cli::views::{self, Key};
use crate::cli::words;
use crate::keys::model::Standing;

/// What can be done with any key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List keys, newest first
    List {
        /// Part of a name, the beginning of a key's text, or a whole id
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only this state
        #[arg(long, value_parser = PossibleValuesParser::new(Standing::ALL.map(Standing::word)))]
        state: Option<String>,
        /// Only those made by this person or key, by id
        #[arg(long, value_name = "ID")]
        created_by: Option<String>,
        /// How many.
        #[command(flatten)]
        extent: Extent,
    },
    /// Show one key: its settings, and when it was last used
    Show {
        /// The key's id, as in the list
        id: String,
    },
    /// Switch a key off; whoever holds it is refused until it is enabled again
    Disable {
        /// The key's id, as in the list
        id: String,
    },
    /// Switch a key on again
    Enable {
        /// The key's id, as in the list
        id: String,
    },
    /// End a key for good; whoever holds it is refused from then on
    Revoke {
        /// The key's id, as in the list
        id: String,
    },
}

/// What `rotate` takes.
#[derive(Debug, Args)]
pub struct Rotation {
    /// The key's id, as in the list
    id: String,
    /// Seconds that the old key works on, so that its holders can change over; 0 ends it at once
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=2_592_000))]
    overlap_s: u32,
}

/// The settings of a new key that may be left out.
#[derive(Debug, Args)]
pub struct Limit {
    /// When it ends by itself: a day or an RFC 3339 moment
    #[arg(long, value_name = "WHEN", value_parser = words::parse_moment)]
    expires_at: Option<String>,
    /// What it is for [default: live]
    #[arg(long, value_parser = PossibleValuesParser::new(Environment::ALL.map(Environment::word)))]
    environment: Option<String>,
    /// A limit of its own: requests a second, lasting
    #[arg(long, value_name = "N", requires = "burst", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests_per_s: Option<u32>,
    /// Requests at once before that limit counts
    #[arg(long, value_name = "N", requires = "requests_per_s", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    burst: Option<u32>,
    /// A note about it, as NAME=TEXT; may be repeated
    #[arg(long = "note", value_name = "NAME=TEXT", value_parser = note)]
    notes: Vec<(String, String)>,
}

fn note(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, text)) if !name.is_empty() => Ok((name.to_owned(), text.to_owned())),
        _ => Err("write a note as NAME=TEXT".to_owned()),
    }
}

impl Limit {
    /// Adds them to what creates a key.
    pub fn on(self, mut body: Value) -> Value {
        set(&mut body, "expires_at", self.expires_at.map(Value::from));
        set(&mut body, "environment", self.environment.map(Value::from));
        let rate = self.requests_per_s.zip(self.burst);
        set(
            &mut body,
            "rate_limit",
            rate.map(|(per_s, burst)| json!({ "requests_per_s": per_s, "burst": burst })),
        );
        let notes: serde_json::Map<_, _> =
            self.notes.into_iter().map(|(name, text)| (name, Value::from(text))).collect();
        set(&mut body, "metadata", (!notes.is_empty()).then_some(Value::Object(notes)));
        body
    }
}

/// Where keys of one kind are.
pub struct Shelf<'a> {
    what: &'static str,
    path: Vec<&'a str>,
}

impl<'a> Shelf<'a> {
    /// Keys that are called `what`, at this path.
    pub fn new(what: &'static str, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { what, path: path.into_iter().collect() }
    }

    fn at<'b>(&'b self, rest: impl IntoIterator<Item = &'b str>) -> Vec<&'b str> {
        self.path.iter().copied().chain(rest).collect()
    }

    /// Makes a key.
    ///
    /// # Errors
    /// As [`Api::get`]; so do all the others.
    pub async fn create(&self, api: &Api, out: &Out, body: Value) -> Outcome {
        self.tell_of_new(out, "Made", &api.create(&self.path, body).await?)
    }

    /// Makes a key that takes another one's place.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn rotate(&self, api: &Api, out: &Out, rotation: &Rotation) -> Outcome {
        let body = json!({ "overlap_s": rotation.overlap_s });
        let answer = api.create(&self.at([rotation.id.as_str(), "rotate"]), body).await?;
        self.tell_of_new(out, "Rotated", &answer)
    }

    /// Changes a key.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn patch(&self, api: &Api, out: &Out, id: &str, body: Value, done: &str) -> Outcome {
        let answer = api.patch(&self.at([id]), body).await?;
        if out.json {
            return out.document(&answer);
        }
        out.say(format_args!("{done} {}.", words::safe(id)))
    }

    /// What can be done with any key.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn run(&self, api: &Api, out: &Out, command: KeyCommand) -> Outcome {
        match command {
            KeyCommand::List { search, state, created_by, extent } => {
                let filters = [
                    ("search", search.as_deref()),
                    ("state", state.as_deref()),
                    ("created_by", created_by.as_deref()),
                ];
                self.list(api, out, &filters, extent).await
            }
            KeyCommand::Show { id } => self.show(api, out, &id).await,
            KeyCommand::Disable { id } => {
                self.patch(api, out, &id, json!({ "disabled": true }), "Switched off").await
            }
            KeyCommand::Enable { id } => {
                self.patch(api, out, &id, json!({ "disabled": false }), "Switched on").await
            }
            KeyCommand::Revoke { id } => {
                let answer = api.delete(&self.at([id.as_str()]), &[]).await?;
                if out.json {
                    return out.document(&answer);
                }
                out.say(format_args!("Revoked {}: it is refused from now on.", words::safe(&id)))
            }
        }
    }

    /// The key goes to stdout alone, so that it can be piped where it belongs.
    fn tell_of_new(&self, out: &Out, done: &str, answer: &Value) -> Outcome {
        if out.json {
            return out.document(answer);
        }
        let key: Key = views::read(answer)?;
        out.note(format_args!(
            "{done} the {} {} ({}): {}",
            self.what,
            words::safe(&key.name),
            key.id,
            words::safe(&powers(&key))
        ));
        if let (Some(old), Some(ends)) = (&key.replaces, &key.replaced_ends_at) {
            out.note(format_args!("{} ends at {}.", words::safe(old), words::moment(ends)));
        }
        out.say(words::safe(key.key.as_deref().unwrap_or_default()))?;
        out.note(
            out.err
                .paint(Look::Waiting, "This is the only time the key is shown. Keep it somewhere safe now."),
        );
        Ok(())
    }

    async fn list(
        &self,
        api: &Api,
        out: &Out,
        filters: &[(&'static str, Option<&str>)],
        extent: Extent,
    ) -> Outcome {
        let page = api.list(&self.path, filters, extent).await?;
        if out.json {
            return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
        }
        let keys = page.data.iter().map(views::read::<Key>).collect::<Outcome<Vec<_>>>()?;
        let may = if keys.iter().any(|key| key.role.is_some()) { "ROLE" } else { "SCOPES" };
        let rows = keys.into_iter().map(|key| {
            let may = key.role.unwrap_or_else(|| key.scopes.join(","));
            let [created, expires, used] = [Some(key.created_at), key.expires_at, key.last_used_at]
                .map(|at| words::moment_or_dash(at.as_deref()));
            [key.name, may, key.state, key.prefix, created, expires, used, key.id]
        });
        let head = ["NAME", may, "STATE", "PREFIX", "CREATED", "EXPIRES", "LAST USED", "ID"];
        out.say(Table::new(head, rows).text(out.out))?;
        mention_more(out, page.next_cursor.as_ref(), page.data.len());
        Ok(())
    }

    async fn show(&self, api: &Api, out: &Out, id: &str) -> Outcome {
        let answer = api.get(&self.at([id]), &[]).await?;
        if out.json {
            return out.document(&answer);
        }
        let key: Key = views::read(&answer)?;
        let notes: Vec<_> = key.metadata.iter().map(|(name, text)| format!("{name}={text}")).collect();
        let moment = |at: &Option<String>| at.as_deref().map(words::moment);
        out.say(facts(
            &[
                ("id", Some(key.id.clone())),
                ("name", Some(key.name.clone())),
                ("state", Some(key.state.clone())),
                ("begins", Some(key.prefix.clone())),
                ("may", Some(powers(&key))),
                ("environment", Some(key.environment.clone())),
                (
                    "limit",
                    key.rate_limit
                        .as_ref()
                        .map(|rate| format!("{} a second, {} at once", rate.requests_per_s, rate.burst)),
                ),
                ("notes", (!notes.is_empty()).then(|| notes.join(", "))),
                ("created", Some(format!("{} by {}", words::moment(&key.created_at), key.created_by))),
                ("expires", moment(&key.expires_at)),
                ("revoked", moment(&key.revoked_at)),
                ("last used", Some(words::moment_or_dash(key.last_used_at.as_deref()))),
                ("replaced by", key.successor_id.clone()),
            ],
            out.out,
        ))
    }
}

fn powers(key: &Key) -> String {
    match &key.role {
        Some(role) => format!("role {role}"),
        None => key.scopes.join(", "),
    }
}
