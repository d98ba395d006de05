//! `tenant subscription`: what one tenant has bought, and the moves of it.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Outcome;
use super::client::Api;
use super::out::Out;
use super::table::facts;
use super::views;
use super::words;

/// Whose subscription, and what to do with it.
#[derive(Debug, Args)]
pub struct SubscriptionArgs {
    /// Slug or id
    pub tenant: String,
    /// What to do; `show` when absent.
    #[command(subcommand)]
    pub command: Option<SubscriptionCommand>,
}

/// What can be done with a subscription.
#[derive(Debug, Subcommand)]
pub enum SubscriptionCommand {
    /// Show it (what happens without a command)
    Show,
    /// Put the tenant on another plan
    Change {
        /// The plan's key
        plan: String,
        /// When it comes; absent, at once for a plan that costs as much or more
        #[arg(long, value_parser = ["now", "period_end"])]
        when: Option<String>,
    },
    /// End it, with its period unless told otherwise
    Cancel {
        /// When it ends
        #[arg(long, value_parser = ["now", "period_end"])]
        when: Option<String>,
    },
    /// Take a cancellation back, begin an ended one anew, let a paused one go on
    Resume,
    /// Put it to rest: its period is longer by the time it rested
    Pause,
    /// Move the end of its trial
    ExtendTrial {
        /// When it ends, for instance 2027-01-31T12:00:00Z
        #[arg(long, value_parser = words::parse_moment)]
        until: String,
    },
}

#[derive(Debug, Deserialize)]
struct Subscription {
    id: String,
    plan: String,
    plan_version: u32,
    state: String,
    price: u64,
    currency: Option<String>,
    interval: String,
    time_zone: String,
    trial_ends_at: Option<String>,
    current_period_start: String,
    current_period_end: String,
    cancel_at: Option<String>,
    canceled_at: Option<String>,
    paused_at: Option<String>,
    pending_change: Option<Pending>,
    dunning: Option<Dunning>,
    wanted_isolation: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Pending {
    plan: String,
    at: String,
}

#[derive(Debug, Deserialize)]
struct Dunning {
    since: String,
    next_stage: Option<String>,
    next_at: Option<String>,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`].
pub async fn run(api: &Api, args: SubscriptionArgs, out: &Out) -> Outcome {
    let path = |what: Option<&'static str>| {
        let mut path = vec!["admin", "v1", "tenants", args.tenant.as_str(), "subscription"];
        path.extend(what);
        path
    };
    let body = |fields: &[(&str, Option<String>)]| {
        let given =
            fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), json!(value.as_ref()?))));
        Some(Value::Object(Map::from_iter(given)))
    };
    let answer = match args.command.unwrap_or(SubscriptionCommand::Show) {
        SubscriptionCommand::Show => api.get(&path(None), &[]).await?,
        SubscriptionCommand::Change { plan, when } => {
            api.post(&path(Some("change")), body(&[("plan", Some(plan)), ("when", when)])).await?
        }
        SubscriptionCommand::Cancel { when } => {
            api.post(&path(Some("cancel")), body(&[("when", when)])).await?
        }
        SubscriptionCommand::Resume => api.post(&path(Some("resume")), None).await?,
        SubscriptionCommand::Pause => api.post(&path(Some("pause")), None).await?,
        SubscriptionCommand::ExtendTrial { until } => {
            api.post(&path(Some("extend-trial")), body(&[("until", Some(until))])).await?
        }
    };
    if out.json { out.document(&answer) } else { out.say(described(views::read(&answer)?, out)) }
}

fn described(it: Subscription, out: &Out) -> String {
    let moment = |at: &Option<String>| at.as_deref().map(words::moment);
    let price = match it.currency {
        Some(currency) if it.price > 0 => words::price(it.price, &currency, &it.interval),
        _ => "free of charge".to_owned(),
    };
    let period = format!(
        "{} to {} ({})",
        words::moment(&it.current_period_start),
        words::moment(&it.current_period_end),
        it.time_zone
    );
    let next = it.dunning.as_ref().and_then(|one| {
        Some(format!("{} at {}", one.next_stage.as_deref()?, words::moment(one.next_at.as_deref()?)))
    });
    facts(
        &[
            ("id", Some(it.id)),
            ("plan", Some(format!("{} (version {})", it.plan, it.plan_version))),
            ("state", Some(it.state)),
            ("price", Some(price)),
            ("period", Some(period)),
            ("trial ends", moment(&it.trial_ends_at)),
            ("then", it.pending_change.map(|one| format!("{} at {}", one.plan, words::moment(&one.at)))),
            ("ends", moment(&it.cancel_at)),
            ("ended", moment(&it.canceled_at)),
            ("paused", moment(&it.paused_at)),
            ("unpaid since", it.dunning.as_ref().map(|one| words::moment(&one.since))),
            ("unless paid", next),
            ("wants isolation", it.wanted_isolation),
        ],
        out.out,
    )
}
