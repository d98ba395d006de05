//! The endpoints of entitlements.

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::queries::{self, Checked, Entitlements, Question};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Reply, Strict, body};
use crate::kernel::error::{Error, FieldError, Result};
use crate::tenants::Handle;

/// The most that is asked for at once.
const MOST: u64 = 1_000_000_000_000;

/// Registers the one that is called before each request of the application.
pub fn hot(config: &mut ServiceConfig<'_>) {
    config.service(check);
}

/// Registers the other endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(own).service(of_tenant);
}

/// What to check.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckRequest {
    /// The tenant, by id or slug.
    #[schema(max_length = 64)]
    #[serde(deserialize_with = "body::text::<64, _>")]
    tenant: String,
    /// The feature, by its key in the catalogue.
    #[schema(max_length = 64)]
    #[serde(deserialize_with = "body::text::<64, _>")]
    feature: String,
    /// How much of it. 0 asks whether there is a limit at all.
    #[serde(default = "one", deserialize_with = "amount")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000u64)]
    amount: u64,
    /// Take it, in the same step; of metered features.
    #[serde(default)]
    consume: bool,
    /// Names what is consumed: asked again with the same, it is not taken again. Needed with `consume`.
    #[schema(min_length = 1, max_length = 255)]
    #[serde(default, deserialize_with = "key")]
    idempotency_key: Option<String>,
}

fn one() -> u64 {
    1
}

fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let amount = u64::deserialize(from)?;
    if amount <= MOST { Ok(amount) } else { Err(serde::de::Error::custom("is too much")) }
}

fn key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let key = Option::<String>::deserialize(from)?;
    let fits = |key: &String| !key.is_empty() && key.chars().count() <= 255 && !key.contains('\0');
    if key.as_ref().is_none_or(fits) { Ok(key) } else { Err(serde::de::Error::custom("is no key")) }
}

impl CheckRequest {
    fn question(self) -> Result<Question> {
        let mut wrong = Vec::new();
        let mut fault = |pointer: &str, detail: &str| {
            wrong.push(FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() });
        };
        if self.consume && self.idempotency_key.is_none() {
            fault("/idempotency_key", "is needed with consume, so that a repeated call takes nothing twice");
        }
        if self.consume && self.amount == 0 {
            fault("/amount", "must be at least 1 with consume");
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let take = self.idempotency_key.filter(|_| self.consume);
        Ok(Question { tenant: self.tenant, feature: self.feature, amount: self.amount, take })
    }
}

/// Checks whether a tenant may have an amount of a feature now, and why. Always 200: one that may not is an answer.
/// With `consume` it is taken in the same step, once for each `idempotency_key`.
#[utoipa::path(operation_id = "check_entitlement", tag = "services", request_body = CheckRequest, responses((status = 200, body = Checked)), security(("bearer" = [])))]
#[post("/v1/entitlements/check")]
async fn check(app: web::Data<App>, caller: Caller, body: Strict<CheckRequest>) -> Reply<HttpResponse> {
    let answer = queries::check(&app, &caller, body.0.question()?).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// All that the caller's tenant may do, with what it has used.
#[utoipa::path(operation_id = "own_entitlements", tag = "tenant", responses((status = 200, body = Entitlements)), security(("bearer" = [])))]
#[get("/v1/tenant/entitlements")]
async fn own(app: web::Data<App>, caller: Caller) -> Reply<web::Json<Entitlements>> {
    Ok(web::Json(queries::own(&app, &caller).await?))
}

/// All that a tenant may do, with what it has used.
#[utoipa::path(operation_id = "entitlements_of_tenant", tag = "entitlements", params(("tenant", description = "Id or slug")), responses((status = 200, body = Entitlements)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/entitlements")]
async fn of_tenant(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
) -> Reply<web::Json<Entitlements>> {
    Ok(web::Json(queries::of_any(&app, &caller, Handle::parse(&tenant)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What the handler reads without asking the schema is what the schema allows.
    #[test]
    fn reading_a_check_is_as_strict_as_its_schema() {
        let shape = crate::http::schema_check::Shape::of::<CheckRequest>();
        let base = || json!({ "tenant": "acme", "feature": "seats" });
        let with = |name: &str, value: Value| {
            let mut body = base();
            body[name] = value;
            body
        };
        let bodies = [
            base(),
            with("amount", json!(0)),
            with("amount", json!(MOST)),
            with("amount", json!(MOST + 1)),
            with("amount", json!(-1)),
            with("amount", json!(1.5)),
            with("amount", Value::Null),
            with("consume", json!(true)),
            with("consume", Value::Null),
            with("idempotency_key", json!("é".repeat(255))),
            with("idempotency_key", json!("é".repeat(256))),
            with("idempotency_key", json!("")),
            with("idempotency_key", json!("a\u{0}")),
            with("idempotency_key", Value::Null),
            with("idempotency_key", json!(1)),
            with("tenant", json!("x".repeat(65))),
            with("feature", json!("a\u{0}")),
            with("more", json!(1)),
            json!({ "tenant": "acme" }),
            Value::Null,
            json!([]),
        ];
        for value in bodies {
            let read = serde_json::from_value::<CheckRequest>(value.clone());
            assert_eq!(read.is_ok(), shape.faults(&value).is_empty(), "{value} {:?}", shape.faults(&value));
        }
    }
}
