//! The OpenAPI 3.1 document: generated from the handlers; this adds what is true of all of them.

use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Header, InfoBuilder, Object, OpenApi, Ref, RefOr};

use super::problem::{ProblemBody, SqlBody};
use crate::kernel::error::FieldError;

const FAILURES: &[(&str, &str)] = &[
    ("400", "The request cannot be read, or the statement is wrong"),
    ("401", "No credential, or a bad one"),
    ("403", "The credential is of the wrong kind, or lacks the right"),
    ("404", "No such resource, or hidden from this caller"),
    ("405", "The path has other methods"),
    ("409", "In conflict with the present state"),
    ("412", "If-Match names another revision"),
    ("413", "The body is too large"),
    ("415", "The body is not JSON"),
    ("422", "Readable, but refused: invalid fields are all named"),
    ("429", "Too many requests: Retry-After, RateLimit and RateLimit-Policy say when to come back"),
    ("500", "A fault of ours"),
    ("503", "Something we lean on is away; retry"),
    ("504", "A bounded wait ran out"),
];

/// Completes the document that the routes gave.
#[must_use]
pub fn complete(mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("Tenantry")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The control plane of a multi-tenant SaaS: onboarding, isolation, routing, plans and API keys. \
             Every failure is application/problem+json (RFC 9457) with a stable code and the request's id.",
        ))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for (name, schema) in [
        (ProblemBody::name(), <ProblemBody as utoipa::PartialSchema>::schema()),
        (SqlBody::name(), <SqlBody as utoipa::PartialSchema>::schema()),
        (FieldError::name(), <FieldError as utoipa::PartialSchema>::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    for item in api.paths.paths.values_mut() {
        let commands = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        commands.into_iter().flatten().for_each(add_place);
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        operations.into_iter().flatten().for_each(add_failures);
    }
    api
}

/// Commands say where in the log what they did stands.
fn add_place(operation: &mut Operation) {
    let done = operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with('2'));
    for (_, response) in done {
        let RefOr::T(response) = response else { continue };
        let text = Object::with_type(Type::String);
        let mut header = Header::new(text);
        header.description = Some(
            "Where the last event stands that this appended to the log, if any: pass it as `min_seq`."
                .to_owned(),
        );
        response.headers.insert("Tenantry-Seq".to_owned(), RefOr::T(header));
    }
}

fn add_failures(operation: &mut Operation) {
    for (status, description) in FAILURES {
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            RefOr::T(
                ResponseBuilder::new()
                    .description(*description)
                    .content("application/problem+json", content)
                    .build(),
            )
        });
    }
}
