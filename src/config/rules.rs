//! Rules between keys, and with the world around them. A rule is silent when one of its keys was refused
//! already: the value it would see is only a stand-in.

use std::path::Path;

use super::load::Loaded;
use super::problem::{Fault, Problem, nearest, one_of};
use super::reading::Reader;
use super::settings::{BillingProvider, MailTransport};
use super::url::{Engine, SmtpUrl};
use crate::kernel::isolation::Isolation;

/// Why `model` cannot be kept on a cluster of this engine; `None` when it can.
#[must_use]
pub fn unsupported(model: Isolation, cluster: &str, engine: Engine) -> Option<Fault> {
    if engine == Engine::Postgres || model == Isolation::Database {
        return None;
    }
    Some(Fault::new(
        format!(
            "the model {model} cannot be kept on the cluster {cluster}: SQLite has no roles and no row-level \
             security, one connection sees the whole file, so the engine itself cannot keep tenants apart"
        ),
        format!("use database, or give clusters.{cluster}.url a PostgreSQL server"),
    ))
}

/// Whether this build can speak TLS to PostgreSQL.
const TLS: bool = cfg!(feature = "pg-tls");

pub(crate) fn apply(loaded: &mut Loaded, reader: &mut Reader<'_>, dir: &Path) {
    clusters(loaded, reader);
    tls(loaded, reader, TLS);
    mail(loaded, reader);
    billing(loaded, reader);
    broker(loaded, reader);
    backoff(loaded, reader);
    dunning(loaded, reader);
    session_life(loaded, reader);
    migrations(loaded, reader, dir);
    loaded.warnings.extend(warnings(loaded));
}

fn clusters(loaded: &Loaded, reader: &mut Reader<'_>) {
    let settings = &loaded.settings;
    let name = &settings.tenancy.default_cluster;
    let Some(cluster) = settings.clusters.get(name) else {
        // One that was written, but lacks a good url, has been reported.
        if !reader.clusters.contains_key(name) && !reader.refused.contains("tenancy.default_cluster") {
            let known: Vec<&str> = settings.clusters.keys().map(String::as_str).collect();
            let remedy = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None if known.is_empty() => format!("add a section [clusters.{name}]"),
                None => format!("add a section [clusters.{name}], or name {}", one_of(&known)),
            };
            let fault = Fault::new(format!("there is no cluster {name}"), remedy);
            reader.refuse("tenancy.default_cluster", loaded.origin("tenancy.default_cluster"), fault);
        }
        return;
    };
    let url = format!("clusters.{name}.url");
    let keys = ["tenancy.isolation", "tenancy.default_cluster", url.as_str()];
    if keys.iter().any(|key| reader.refused.contains(*key)) {
        return;
    }
    if let Some(fault) = unsupported(settings.tenancy.isolation, name, cluster.url.engine()) {
        reader.refuse("tenancy.isolation", loaded.origin("tenancy.isolation"), fault);
    }
}

/// Rungs that are there follow one another.
fn dunning(loaded: &Loaded, reader: &mut Reader<'_>) {
    let ladder = &loaded.settings.billing.dunning;
    let rungs = [
        ("billing.dunning.warn_after_d", ladder.warn_after_d),
        ("billing.dunning.restrict_after_d", ladder.restrict_after_d),
        ("billing.dunning.suspend_after_d", ladder.suspend_after_d),
        ("billing.dunning.cancel_after_d", ladder.cancel_after_d),
    ];
    if rungs.iter().any(|(key, _)| reader.refused.contains(*key)) {
        return;
    }
    let there: Vec<_> = rungs.into_iter().filter(|(_, days)| *days > 0).collect();
    for (before, after) in there.iter().zip(there.iter().skip(1)) {
        if after.1 <= before.1 {
            let detail = format!("{} is not after {}, which is {}", after.1, before.0, before.1);
            let fault = Fault::new(detail, format!("give more than {}, or 0 to leave it out", before.1));
            reader.refuse(after.0, loaded.origin(after.0), fault);
        }
    }
}

fn tls(loaded: &Loaded, reader: &mut Reader<'_>, can: bool) {
    if can {
        return;
    }
    let clusters =
        loaded.settings.clusters.iter().map(|(name, it)| (format!("clusters.{name}.url"), &it.url));
    for (key, url) in std::iter::once(("store.url".to_owned(), &loaded.settings.store.url)).chain(clusters) {
        if let Some(mode) = url.insists_on_tls() {
            let fault = Fault::new(
                format!("sslmode={mode} asks for TLS, which this build does not have"),
                "use a release build, or build with `--features pg-tls`, or remove sslmode on a private network",
            );
            let origin = loaded.origin(&key);
            reader.refuse(&key, origin, fault);
        }
    }
}

fn mail(loaded: &Loaded, reader: &mut Reader<'_>) {
    let mail = &loaded.settings.mail;
    if mail.transport == MailTransport::Smtp
        && mail.smtp.url.is_none()
        && !reader.refused.contains("mail.smtp.url")
    {
        let fault = Fault::new("there is no mail server to speak to", "set mail.smtp.url");
        reader.refuse("mail.transport", loaded.origin("mail.transport"), fault);
    }
}

fn billing(loaded: &Loaded, reader: &mut Reader<'_>) {
    let billing = &loaded.settings.billing;
    if billing.provider != BillingProvider::Stripe {
        return;
    }
    let wanted = [
        ("billing.stripe.secret_key", billing.stripe.secret_key.is_none(), "sign in with"),
        (
            "billing.stripe.webhook_secret",
            billing.stripe.webhook_secret.is_none(),
            "check its notifications by",
        ),
    ];
    for (key, absent, what) in wanted {
        if absent && !reader.refused.contains(key) {
            let fault = Fault::new(format!("Stripe needs something to {what}"), format!("set {key}"));
            reader.refuse(key, loaded.origin(key), fault);
        }
    }
}

fn broker(loaded: &Loaded, reader: &mut Reader<'_>) {
    let nats = &loaded.settings.broker.nats;
    let halves = [
        ("broker.nats.user", nats.user.is_some(), "broker.nats.password", nats.password.is_some()),
        ("broker.nats.password", nats.password.is_some(), "broker.nats.user", nats.user.is_some()),
    ];
    for (key, there, other, other_there) in halves {
        if there && !other_there && !reader.refused.contains(other) {
            let fault = Fault::new(format!("{other} is missing"), format!("set {other} too"));
            reader.refuse(key, loaded.origin(key), fault);
        }
    }
    let (window, age) = (nats.duplicate_window, nats.max_age);
    if !age.is_zero() && window > age {
        let key = "broker.nats.duplicate_window_s";
        let detail = "a message would be known for longer than it is kept";
        let fault = Fault::new(detail, "keep it at or below broker.nats.max_age_s");
        reader.refuse(key, loaded.origin(key), fault);
    }
}

fn backoff(loaded: &Loaded, reader: &mut Reader<'_>) {
    let operations = &loaded.settings.operations;
    if operations.backoff_initial > operations.backoff_max {
        let [first, most] = ["operations.backoff_initial_ms", "operations.backoff_max_s"];
        let key = if loaded.origin(first).is_operators() { first } else { most };
        let fault = Fault::new(
            "the first wait is longer than the longest one",
            format!("keep {first} at or below {most} (mind the units)"),
        );
        reader.refuse(key, loaded.origin(key), fault);
    }
}

fn session_life(loaded: &Loaded, reader: &mut Reader<'_>) {
    let auth = &loaded.settings.auth;
    if auth.refresh_token_ttl > auth.session_max {
        let [idle, most] = ["auth.refresh_token_ttl_s", "auth.session_max_s"];
        let key = if loaded.origin(idle).is_operators() { idle } else { most };
        let fault = Fault::new(
            "a session would be over before it could go unused for so long",
            format!("keep {idle} at or below {most}"),
        );
        reader.refuse(key, loaded.origin(key), fault);
    }
}

fn migrations(loaded: &mut Loaded, reader: &mut Reader<'_>, dir: &Path) {
    let key = "application.migrations_dir";
    let path = &loaded.settings.application.migrations_dir;
    if reader.refused.contains(key) || dir.join(path).is_dir() {
        return;
    }
    let origin = loaded.origin(key);
    let detail = format!("there is no directory {}", path.display());
    if origin.is_operators() {
        reader.refuse(key, origin, Fault::new(detail, "make it, or correct the path"));
    } else {
        let remedy = "tenants get the example's tables; name the directory of your application's migrations";
        loaded.warnings.push(Fault::new(detail, remedy).at(key, origin));
    }
}

fn warnings(loaded: &Loaded) -> Vec<Problem> {
    let settings = &loaded.settings;
    let mut out = Vec::new();
    let mut warn = |key: &str, detail: &str, remedy: &str| {
        out.push(Fault::new(detail, remedy).at(key, loaded.origin(key)));
    };
    if settings.signup.enabled && !settings.signup.verify_email {
        warn(
            "signup.verify_email",
            "anyone can sign up with an address that is not theirs: mail is not verified",
            "set it to true, or set signup.enabled to false if only operators should create tenants",
        );
    }
    let warned_after = u64::from(settings.billing.dunning.warn_after_d);
    if warned_after > 0 && warned_after * 86_400 < settings.billing.due_after.as_secs() {
        warn(
            "billing.dunning.warn_after_d",
            "owners are warned of an invoice before it is due",
            "give at least as many days as billing.due_after_d",
        );
    }
    if settings.signup.verify_email && settings.mail.transport == MailTransport::File {
        warn(
            "mail.transport",
            "the codes that confirm an address are written to files on this machine, not sent",
            "set it to smtp, with mail.smtp.url",
        );
    }
    if settings.mail.smtp.url.as_ref().is_some_and(SmtpUrl::shows_password) {
        warn(
            "mail.smtp.url",
            "the password can go over the network in the clear",
            "use smtps://, or add ?tls=required",
        );
    }
    if !settings.server.bind.ip().is_loopback() && settings.server.public_url.is_none() {
        warn(
            "server.public_url",
            "other machines can reach this server, but links and tokens name the bound address",
            "set it to the URL that clients use",
        );
    }
    if settings.store.url.trusts_anybody() {
        warn(
            "store.url",
            "sslmode=require without sslrootcert encrypts, but does not check whom it speaks to",
            "use sslmode=verify-full and name the authority's file as sslrootcert",
        );
    }
    let default = settings.clusters.get(&settings.tenancy.default_cluster);
    if default.is_some_and(|cluster| !cluster.accepts_new) {
        warn(
            "tenancy.default_cluster",
            "the default cluster takes no new tenants",
            "name another one, or set accepts_new of this one to true",
        );
    }
    for key in [
        "secrets.master_key",
        "secrets.previous_master_keys",
        "billing.stripe.secret_key",
        "billing.stripe.webhook_secret",
        "broker.nats.password",
        "broker.nats.credentials",
    ] {
        let literal = loaded.entry(key).is_some_and(|entry| {
            matches!(entry.source, super::problem::Origin::File { .. })
                && entry.via.is_none()
                && entry.value != serde_json::json!([])
                && !entry.value.is_null()
        });
        if literal {
            warn(key, "a key is written out in a config file", "give env:NAME or file:PATH instead");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Inputs, gather};

    #[test]
    fn tls_is_refused_only_where_the_build_lacks_it() {
        let env = [("TENANTRY_STORE__URL", "postgres://u:pw@h/d?sslmode=require")];
        let inputs = Inputs { env: Environment::new(env), ..Inputs::default_only() };
        let loaded = gather(&inputs).loaded.unwrap();
        for (can, found) in [(true, 0), (false, 1)] {
            let mut reader = Reader::new(&inputs);
            tls(&loaded, &mut reader, can);
            assert_eq!(reader.problems.len(), found);
            assert!(!format!("{:?}", reader.problems).contains("pw"));
        }
    }
}
