//! `invoice`: what tenants owe.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use super::args::{Extent, Remote};
use super::client::Api;
use super::operation::mention_more;
use super::out::Out;
use super::table::{Table, facts};
use super::target;
use super::views;
use super::words;
use crate::billing::State;
use crate::billing::model::money::written;
use crate::config::Inputs;

/// Where the admin API has them.
const PATH: [&str; 3] = ["admin", "v1", "invoices"];

/// What `invoice` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry invoice list --state open             what is owed
  tenantry invoice list --tenant acme            all of one tenant
  tenantry invoice show invoice_01…              one, with its lines
  tenantry invoice mark-paid invoice_01… --reference 'wire 7'
  tenantry invoice void invoice_01… --reason 'charged by mistake'"
)]
pub struct InvoiceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: InvoiceCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with invoices.
#[derive(Debug, Subcommand)]
pub enum InvoiceCommand {
    /// List invoices, newest first
    List {
        /// Only this tenant's: slug or id
        #[arg(long)]
        tenant: Option<String>,
        /// Only in this state
        #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.iter().map(|state| state.word())))]
        state: Option<String>,
        /// How much of the list
        #[command(flatten)]
        extent: Extent,
    },
    /// Show one invoice with its lines
    Show {
        /// The invoice's id, as in the list
        id: String,
    },
    /// Mark an open invoice paid: the money came in some other way
    MarkPaid {
        /// The invoice's id, as in the list
        id: String,
        /// What names the payment: a bank's reference, a receipt
        #[arg(long)]
        reference: Option<String>,
        /// When it was paid: a day or a moment; now when left out
        #[arg(long, value_name = "WHEN", value_parser = words::parse_moment)]
        paid_at: Option<String>,
    },
    /// Take an open invoice back: nobody owes it any more
    Void {
        /// The invoice's id, as in the list
        id: String,
        /// Why; shown on the invoice
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Deserialize)]
struct Invoice {
    id: String,
    number: String,
    customer: String,
    state: String,
    currency: String,
    total: i64,
    due_at: String,
    created_at: String,
    paid_at: Option<String>,
    payment_reference: Option<String>,
    void_reason: Option<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
    description: String,
    quantity: i64,
    amount: i64,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`].
pub async fn run(args: InvoiceArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    let [admin, version, invoices] = PATH;
    match args.command {
        InvoiceCommand::List { tenant, state, extent } => {
            let filters = [("tenant", tenant.as_deref()), ("state", state.as_deref())];
            list(&api, out, &filters, extent).await
        }
        InvoiceCommand::Show { id } => show(out, &api.get(&[admin, version, invoices, &id], &[]).await?),
        InvoiceCommand::MarkPaid { id, reference, paid_at } => {
            let mut body = json!({});
            if let Some(fields) = body.as_object_mut() {
                let given = [("reference", reference), ("paid_at", paid_at)];
                fields.extend(
                    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))),
                );
            }
            show(out, &api.post(&[admin, version, invoices, &id, "mark-paid"], Some(body)).await?)
        }
        InvoiceCommand::Void { id, reason } => {
            let body = json!({ "reason": reason });
            show(out, &api.post(&[admin, version, invoices, &id, "void"], Some(body)).await?)
        }
    }
}

async fn list(api: &Api, out: &Out, filters: &[(&'static str, Option<&str>)], extent: Extent) -> Outcome {
    let page = api.list(&PATH, filters, extent).await?;
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let all = page.data.iter().map(views::read::<Invoice>).collect::<Outcome<Vec<_>>>()?;
    let rows = all.into_iter().map(|it| {
        let total = written(it.total, &it.currency);
        [it.number, it.customer, it.state, total, words::moment(&it.due_at), it.id]
    });
    out.say(Table::new(["NUMBER", "CUSTOMER", "STATE", "TOTAL", "DUE", "ID"], rows).text(out.out))?;
    mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}

fn show(out: &Out, answer: &Value) -> Outcome {
    if out.json {
        return out.document(answer);
    }
    let it: Invoice = views::read(answer)?;
    let told = [
        ("number", Some(it.number)),
        ("id", Some(it.id)),
        ("customer", Some(it.customer)),
        ("state", Some(it.state)),
        ("total", Some(written(it.total, &it.currency))),
        ("opened", Some(words::moment(&it.created_at))),
        ("due", Some(words::moment(&it.due_at))),
        ("paid", it.paid_at.as_deref().map(words::moment)),
        ("payment", it.payment_reference),
        ("void because", it.void_reason),
    ];
    out.say(facts(&told, out.out))?;
    let rows = it.lines.into_iter().map(|line| {
        [line.kind, line.description, line.quantity.to_string(), written(line.amount, &it.currency)]
    });
    out.say(Table::new(["KIND", "WHAT", "QUANTITY", "AMOUNT"], rows).text(out.out))
}
