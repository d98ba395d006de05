//! Paths and methods that are none of ours: 404 and 405 as problems, never a framework's page.

use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use utoipa::openapi::OpenApi;

use crate::http::{Problem, ProblemBody, request};
use crate::kernel::error::Error;

/// The paths of the document with their methods.
pub(super) struct KnownPaths(Vec<(Vec<String>, Vec<&'static str>)>);

impl KnownPaths {
    pub(super) fn of(api: &OpenApi) -> Self {
        let known = api.paths.paths.iter().map(|(path, item)| {
            let methods = [
                ("GET", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let has = methods.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
            (path.split('/').map(ToOwned::to_owned).collect(), has)
        });
        Self(known.collect())
    }

    fn methods(&self, path: &str) -> Vec<&'static str> {
        let parts: Vec<_> = path.split('/').collect();
        let fits = |known: &[String]| {
            known.len() == parts.len()
                && known
                    .iter()
                    .zip(&parts)
                    .all(|(known, part)| known == part || (known.starts_with('{') && !part.is_empty()))
        };
        let mut all: Vec<_> =
            self.0.iter().filter(|(known, _)| fits(known)).flat_map(|(_, methods)| methods.clone()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

pub(super) async fn answer(asked: HttpRequest, known: web::Data<KnownPaths>) -> HttpResponse {
    let methods = known.methods(asked.path());
    if methods.is_empty() {
        return Problem(Error::NotFound("path")).error_response();
    }
    let allowed = methods.join(", ");
    let body = ProblemBody {
        kind: "/problems/method_not_allowed".into(),
        title: "Method Not Allowed".into(),
        status: StatusCode::METHOD_NOT_ALLOWED.as_u16(),
        detail: format!("this path takes {allowed}"),
        code: "method_not_allowed".into(),
        request_id: request::current_id(),
        errors: None,
        sql: None,
    };
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, allowed))
        .content_type("application/problem+json")
        .body(serde_json::to_string(&body).unwrap_or_default())
}
