//! An invoice as JSON or as a page.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};

use crate::app::App;
use crate::billing::model::Invoice;
use crate::billing::page;
use crate::http::{Reply, paths, tagged};
use crate::kernel::error::Result;
use crate::kernel::id::InvoiceId;

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Json,
    Page,
}

/// Which invoice, and as what: the path says, or else what the client likes best of the two.
///
/// # Errors
/// Not found for what is no id.
pub(super) fn asked(segment: &str, request: &HttpRequest) -> Result<(InvoiceId, Wish)> {
    let (id, wish) = match segment.strip_suffix(".html") {
        Some(id) => (id, Wish::Page),
        None => (segment, liked(request)),
    };
    Ok((paths::id(id, "invoice")?, wish))
}

fn liked(request: &HttpRequest) -> Wish {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let weight = |kind: &str| {
        let part = accept
            .split(',')
            .find(|part| part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(kind)))?;
        let q = part.split(';').filter_map(|pair| pair.trim().strip_prefix("q=")).next();
        Some(q.map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0)))
    };
    let json = weight("application/json").unwrap_or(0.0);
    match weight("text/html") {
        Some(html) if html > json => Wish::Page,
        _ => Wish::Json,
    }
}

/// The invoice as wished.
pub(super) fn answer(app: &App, invoice: &Invoice, wish: Wish) -> Reply<HttpResponse> {
    let mut response = match wish {
        Wish::Json => tagged(StatusCode::OK, invoice.rev(), invoice),
        Wish::Page => {
            let issuer = match app.settings.billing.issuer.trim() {
                "" => app.mailer.product(),
                issuer => issuer.to_owned(),
            };
            let page = page::html(invoice, &issuer)?;
            HttpResponse::Ok()
                .content_type("text/html; charset=utf-8")
                .insert_header((CONTENT_SECURITY_POLICY, page::POLICY.as_str()))
                .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .insert_header((REFERRER_POLICY, "no-referrer"))
                .insert_header((CACHE_CONTROL, "private, no-store"))
                .body(page)
        }
    };
    let (vary, accept): (HeaderName, HeaderValue) = (VARY, HeaderValue::from_static("accept"));
    response.headers_mut().append(vary, accept);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn json_unless_a_page_is_liked_better() {
        for (accept, wish) in [
            (None, Wish::Json),
            (Some("*/*"), Wish::Json),
            (Some("application/json"), Wish::Json),
            (Some("text/html"), Wish::Page),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Wish::Page),
            (Some("application/json, text/html;q=0.9"), Wish::Json),
            (Some("application/json;q=0.5, Text/HTML ; q=0.9"), Wish::Page),
            (Some("text/html;q=0"), Wish::Json),
        ] {
            let mut request = TestRequest::default();
            if let Some(accept) = accept {
                request = request.insert_header((ACCEPT, accept));
            }
            assert_eq!(liked(&request.to_http_request()), wish, "{accept:?}");
        }
    }
}
