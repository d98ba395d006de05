//! `operator invite | people | remove`: operators who are people.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use super::args::Extent;
use super::client::Api;
use super::out::{Look, Out};
use super::table::Table;
use super::views;
use super::words;
use crate::auth::caller::OperatorRole;

/// Where the admin API has them.
const PATH: [&str; 3] = ["admin", "v1", "operator-users"];

/// A person's address and role.
#[derive(Debug, Args)]
pub struct Invitation {
    /// Their address, with which they sign in
    #[arg(long)]
    pub email: String,
    /// What they may do
    #[arg(long, value_parser = PossibleValuesParser::new(OperatorRole::ALL.iter().map(|role| role.word())))]
    pub role: String,
}

/// What can be done with operators who are people.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Make an operator who is a person; the token to set their password is shown this one time, alone on stdout
    Invite(Invitation),
    /// List operators who are people, newest first
    People(Extent),
    /// Remove an operator who is a person; they are refused from then on
    Remove {
        /// The operator's id, as in the list
        id: String,
    },
}

/// An operator; `setup_token` is there once, on creation.
#[derive(Debug, Deserialize)]
struct Person {
    id: String,
    email: String,
    role: String,
    state: String,
    created_at: String,
    setup_token: Option<String>,
}

/// Does what `operator` was told about people.
///
/// # Errors
/// As [`Api::get`].
pub async fn run(api: &Api, command: PeopleCommand, out: &Out) -> Outcome {
    match command {
        PeopleCommand::Invite(Invitation { email, role }) => {
            invited(out, api.create(&PATH, json!({ "email": email, "role": role })).await?)
        }
        PeopleCommand::People(extent) => list(api, out, extent).await,
        PeopleCommand::Remove { id } => {
            let [admin, version, people] = PATH;
            api.delete(&[admin, version, people, id.as_str()], &[]).await?;
            if out.json {
                return out.document(&json!({ "id": id, "removed": true }));
            }
            out.say(format_args!("Removed {}: refused from now on.", words::safe(&id)))
        }
    }
}

/// The token goes to stdout alone, so that it can be piped where it belongs.
fn invited(out: &Out, answer: Value) -> Outcome {
    if out.json {
        return out.document(&answer);
    }
    let person: Person = views::read(&answer)?;
    let (email, role) = (words::safe(&person.email), words::safe(&person.role));
    out.note(format_args!("Made the operator {email} ({}): role {role}", person.id));
    out.say(words::safe(person.setup_token.as_deref().unwrap_or_default()))?;
    let hint = "This is the only time the token is shown. Hand it over: they set a password with it, at \
                POST /admin/v1/operator-setup.";
    out.note(out.err.paint(Look::Waiting, hint));
    Ok(())
}

async fn list(api: &Api, out: &Out, extent: Extent) -> Outcome {
    let page = api.list(&PATH, &[], extent).await?;
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let people = page.data.iter().map(views::read::<Person>).collect::<Outcome<Vec<_>>>()?;
    let rows = people
        .into_iter()
        .map(|one| [one.email, one.role, one.state, words::moment(&one.created_at), one.id]);
    out.say(Table::new(["ADDRESS", "ROLE", "STATE", "CREATED", "ID"], rows).text(out.out))?;
    super::operation::mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}
