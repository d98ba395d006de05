//! What a new tenant must satisfy beyond the shape of its request: each rule by itself, so that every
//! wrong field is named at once, also when other fields have not even the right shape.

use std::sync::Arc;

use super::commands::{SignupRequest, TenantRequest};
use crate::app::App;
use crate::auth::{Caller, Verb, password};
use crate::catalog::PlanVersion;
use crate::http::Sound;
use crate::identity::commands::normalise_email;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::isolation::Isolation;
use crate::kernel::slug::Slug;
use crate::placement::clusters::Wanted;

/// Everything about the new tenant that is settled before the transaction.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) slug: SlugWish,
    pub(super) plan: String,
    pub(super) isolation: Isolation,
    pub(super) cluster: String,
    pub(super) region: Option<String>,
}

#[derive(Clone)]
pub(super) enum SlugWish {
    Exactly(Slug),
    Derived(Slug),
}

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    /// What a rule made of a field, unless it objects.
    fn keep<T>(&mut self, pointer: &str, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|detail| self.0.push(FieldError { pointer: pointer.into(), detail })).ok()
    }

    /// # Errors
    /// [`Error::Invalid`] when there is one.
    fn none(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Signing up is for everybody: there is no right to ask for, only the installation's own switch.
///
/// # Errors
/// [`Error::Forbidden`] `signup_disabled`.
pub(super) fn takes_signups(app: &App) -> Result<()> {
    if app.settings.signup.enabled {
        return Ok(());
    }
    Err(Error::forbidden("signup_disabled", "this installation does not take signups; ask its operator"))
}

/// The address and the draft of a signup.
pub(super) async fn signup(app: &App, request: &SignupRequest) -> Result<(String, Draft)> {
    let mut faults = Faults::default();
    let email = faults.keep("/email", normalise_email(&request.email));
    let least = app.settings.auth.password_min_length;
    let weakness = password::weakness(request.password.clone(), &request.email, least).await?;
    faults.keep("/password", weakness.map_or(Ok(()), Err));
    let draft = draft(
        app,
        Asked {
            name: (&request.organization, "/organization"),
            slug: request.slug.as_deref(),
            plan: request.plan.as_deref(),
            public_only: true,
            wanted: Wanted { isolation: app.settings.tenancy.isolation, cluster: None, region: None },
            isolation: None,
        },
        &mut faults,
    );
    faults.none()?;
    email.zip(draft).ok_or_else(|| Error::internal("a fault without a word"))
}

/// The owner's address and the draft of a tenant that an operator makes.
pub(super) fn tenant(app: &App, request: &TenantRequest) -> Result<(Option<String>, Draft)> {
    let mut faults = Faults::default();
    let email =
        request.owner_email.as_deref().and_then(|text| faults.keep("/owner/email", normalise_email(text)));
    let draft = draft(
        app,
        Asked {
            name: (&request.name, "/name"),
            slug: request.slug.as_deref(),
            plan: request.plan.as_deref(),
            public_only: false,
            wanted: Wanted {
                isolation: app.settings.tenancy.isolation,
                cluster: request.cluster.clone(),
                region: request.region.clone(),
            },
            isolation: request.isolation,
        },
        &mut faults,
    );
    faults.none()?;
    draft.map(|draft| (email, draft)).ok_or_else(|| Error::internal("a fault without a word"))
}

/// What the rules say of the fields of a signup that have the right shape, when others have not.
///
/// # Errors
/// As [`takes_signups`].
pub(super) fn faults_of_signup(app: &App, sound: &Sound<'_>) -> Result<Vec<FieldError>> {
    takes_signups(app)?;
    let mut faults = Faults::default();
    check(&mut faults, sound, "/email", normalise_email);
    let email = sound.text("/email").unwrap_or_default();
    let least = app.settings.auth.password_min_length;
    check(&mut faults, sound, "/password", |text| password::strong(text, email, least));
    check(&mut faults, sound, "/organization", |text| name(text).map(drop));
    of_place(app, sound, true, &mut faults);
    Ok(faults.0)
}

/// The same for a tenant that an operator makes.
///
/// # Errors
/// As [`Caller::may`].
pub(super) fn faults_of_tenant(app: &App, caller: &Caller, sound: &Sound<'_>) -> Result<Vec<FieldError>> {
    caller.may(Verb::CreateTenants)?;
    let mut faults = Faults::default();
    check(&mut faults, sound, "/name", |text| name(text).map(drop));
    check(&mut faults, sound, "/owner/email", normalise_email);
    of_place(app, sound, false, &mut faults);
    // Where it can go follows from these together.
    let all = ["/plan", "/isolation", "/cluster", "/region"];
    if all.iter().all(|pointer| sound.is(pointer)) {
        let plan = plan(app, sound.text("/plan"), false).ok();
        let asked = sound.text("/isolation").and_then(|word| word.parse().ok());
        let wanted = Wanted {
            isolation: model(app, asked, plan.as_deref()),
            cluster: sound.text("/cluster").map(ToOwned::to_owned),
            region: sound.text("/region").map(ToOwned::to_owned),
        };
        faults.keep(where_from(&wanted), cluster(app, &wanted));
    }
    Ok(faults.0)
}

fn check<T>(
    faults: &mut Faults,
    sound: &Sound<'_>,
    pointer: &str,
    rule: impl FnOnce(&str) -> Result<T, String>,
) {
    if let Some(text) = sound.text(pointer) {
        faults.keep(pointer, rule(text));
    }
}

fn of_place(app: &App, sound: &Sound<'_>, public_only: bool, faults: &mut Faults) {
    check(faults, sound, "/slug", |text| Slug::parse(text, &app.settings.tenancy.reserved_slugs));
    if sound.is("/plan") {
        faults.keep("/plan", plan(app, sound.text("/plan"), public_only));
    }
}

struct Asked<'a> {
    name: (&'a str, &'static str),
    slug: Option<&'a str>,
    plan: Option<&'a str>,
    public_only: bool,
    isolation: Option<Isolation>,
    wanted: Wanted,
}

fn name(text: &str) -> Result<&str, String> {
    let text = text.trim();
    if text.is_empty() { Err("must not be blank".to_owned()) } else { Ok(text) }
}

fn plan(app: &App, asked: Option<&str>, public_only: bool) -> Result<Arc<PlanVersion>, String> {
    let key = asked.unwrap_or(&app.settings.signup.default_plan);
    let found = app.catalogue.on_sale(key).filter(|version| version.plan.public || !public_only);
    found.ok_or_else(|| format!("there is no plan `{key}`; see GET /v1/plans"))
}

fn model(app: &App, asked: Option<Isolation>, version: Option<&PlanVersion>) -> Isolation {
    asked.or(version.and_then(|version| version.plan.isolation)).unwrap_or(app.settings.tenancy.isolation)
}

fn cluster(app: &App, wanted: &Wanted) -> Result<String, String> {
    app.clusters.choose(wanted).map(ToOwned::to_owned).map_err(|error| error.to_string())
}

/// The field that a cluster which cannot be had is owed to.
fn where_from(wanted: &Wanted) -> &'static str {
    match (&wanted.cluster, &wanted.region) {
        (Some(_), _) => "/cluster",
        (None, Some(_)) => "/region",
        (None, None) => "/isolation",
    }
}

fn draft(app: &App, asked: Asked<'_>, faults: &mut Faults) -> Option<Draft> {
    let (text, pointer) = asked.name;
    let name = faults.keep(pointer, name(text));
    let reserved = &app.settings.tenancy.reserved_slugs;
    let slug = match asked.slug {
        Some(text) => faults.keep("/slug", Slug::parse(text, reserved)).map(SlugWish::Exactly),
        None => Some(SlugWish::Derived(Slug::derive(text.trim(), reserved))),
    };
    let plan = faults.keep("/plan", plan(app, asked.plan, asked.public_only));
    let wanted = Wanted { isolation: model(app, asked.isolation, plan.as_deref()), ..asked.wanted };
    let cluster = faults.keep(where_from(&wanted), cluster(app, &wanted))?;
    let of_cluster =
        app.clusters.get(&cluster).ok().and_then(|configured| configured.settings.region.clone());
    Some(Draft {
        name: name?.to_owned(),
        slug: slug?,
        plan: plan?.plan.key.clone(),
        isolation: wanted.isolation,
        cluster,
        region: wanted.region.or(of_cluster).or_else(|| app.settings.tenancy.region.clone()),
    })
}
