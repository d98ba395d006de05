//! The endpoints of onboarding.

use actix_web::{HttpResponse, post, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, SignupRequest, TenantRequest};
use super::model::{CreatedTenant, SignedUp};
use super::{rules, verify};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, Form, Reply, idempotency, paths};
use crate::kernel::isolation::Isolation;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(sign_up).service(verify_signup).service(resend).service(create);
}

/// A signup.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Signup {
    /// The organisation's name.
    #[schema(min_length = 1, max_length = 200, example = "Acme, Inc.")]
    organization: String,
    /// Its short name in URLs; derived from the name when absent.
    #[schema(max_length = 60, example = "acme")]
    slug: Option<String>,
    /// The owner's address.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// The owner's password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
    /// The plan; the default one when absent.
    #[schema(max_length = 64)]
    plan: Option<String>,
}

/// Signs an organisation up: a tenant, its owner, and its database.
#[utoipa::path(tag = "onboarding", request_body = Signup, responses((status = 202, body = SignedUp)))]
#[post("/v1/signups")]
async fn sign_up(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    form: Form<Signup>,
) -> Reply<HttpResponse> {
    let Body { value, raw } = form.checked(|sound| rules::faults_of_signup(&app, sound))?;
    let attempt = app.attempt(&caller, key, &raw)?;
    let Signup { organization, slug, email, password, plan } = value;
    let request = SignupRequest { organization, slug, email, password, plan };
    Ok(commands::sign_up(&app, &caller, request, attempt).await?.respond())
}

/// A code from a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignupCode {
    /// Its digits.
    #[schema(max_length = 32, example = "12345678")]
    code: String,
}

/// Confirms a signup's address with the code that was mailed to it: the tenant's home is made now.
#[utoipa::path(tag = "onboarding", params(("signup_id", description = "The signup's id")), request_body = SignupCode, responses((status = 202, body = SignedUp)))]
#[post("/v1/signups/{signup_id}/verify")]
async fn verify_signup(
    app: web::Data<App>,
    caller: Caller,
    signup_id: web::Path<String>,
    body: Body<SignupCode>,
) -> Reply<HttpResponse> {
    let id = paths::id(&signup_id, "signup")?;
    Ok(HttpResponse::Accepted().json(verify::verify(&app, &caller, id, &body.value.code).await?))
}

/// What is said when a code may be on its way.
#[derive(Serialize, ToSchema)]
struct CodeUnderway {
    /// In words for people.
    detail: &'static str,
}

/// Mails a fresh code for a signup; the one before is void. Answered alike whether the signup waits for one or not.
#[utoipa::path(tag = "onboarding", params(("signup_id", description = "The signup's id")), responses((status = 202, body = CodeUnderway)))]
#[post("/v1/signups/{signup_id}/resend")]
async fn resend(app: web::Data<App>, caller: Caller, signup_id: web::Path<String>) -> Reply<HttpResponse> {
    verify::resend(&app, &caller, paths::id(&signup_id, "signup")?).await?;
    let detail = "if this signup waits for a code, a fresh one is on its way";
    Ok(HttpResponse::Accepted().json(CodeUnderway { detail }))
}

/// Who will own the tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OwnerRequest {
    /// Their address.
    #[schema(max_length = 254)]
    email: String,
}

/// A tenant to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    /// Its name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Its short name in URLs; derived from the name when absent.
    #[schema(max_length = 60)]
    slug: Option<String>,
    /// The plan; the default one when absent.
    #[schema(max_length = 64)]
    plan: Option<String>,
    /// The isolation model; the plan's, else the default, when absent.
    isolation: Option<Isolation>,
    /// The cluster; chosen by region and weight when absent.
    #[schema(max_length = 64)]
    cluster: Option<String>,
    /// The region its cluster must be in.
    #[schema(max_length = 64)]
    region: Option<String>,
    /// Its owner.
    owner: Option<OwnerRequest>,
}

/// Creates a tenant.
#[utoipa::path(tag = "tenants", request_body = NewTenant, responses((status = 202, body = CreatedTenant)), security(("bearer" = [])))]
#[post("/admin/v1/tenants")]
async fn create(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    form: Form<NewTenant>,
) -> Reply<HttpResponse> {
    let Body { value, raw } = form.checked(|sound| rules::faults_of_tenant(&app, &caller, sound))?;
    let attempt = app.attempt(&caller, key, &raw)?;
    let NewTenant { name, slug, plan, isolation, cluster, region, owner } = value;
    let request = TenantRequest {
        name,
        slug,
        plan,
        isolation,
        cluster,
        region,
        owner_email: owner.map(|owner| owner.email),
    };
    Ok(commands::create(&app, &caller, request, attempt).await?.respond())
}
