//! An invoice that an operator writes.

use actix_web::{HttpResponse, post, web};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Caller;
use crate::billing::by_hand::{self, Draft, Written};
use crate::billing::model::{Invoice, LineKind, Period};
use crate::http::{Body, Reply, idempotency};
use crate::kernel::clock::Ts;
use crate::tenants::Handle;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(open);
}

/// A line to be charged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLine {
    /// What it charges for.
    kind: LineKind,
    /// In words for people.
    #[schema(min_length = 1, max_length = 500)]
    description: String,
    /// How much of it.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
    /// The price of one in the currency's minor unit; below zero for a credit.
    #[schema(minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    unit_price: i64,
}

/// The time an invoice is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPeriod {
    /// The first moment.
    start: Ts,
    /// The moment at which it is over.
    end: Ts,
}

/// An invoice to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvoiceRequest {
    /// Who owes it: an id or a slug.
    #[schema(min_length = 1, max_length = 100)]
    tenant: String,
    /// ISO 4217.
    #[schema(min_length = 3, max_length = 3, example = "EUR")]
    currency: String,
    /// The time it is for; the present when absent.
    period: Option<NewPeriod>,
    /// What is charged.
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<NewLine>,
}

impl From<InvoiceRequest> for Draft {
    fn from(body: InvoiceRequest) -> Self {
        let written = |line: NewLine| Written {
            kind: line.kind,
            description: line.description,
            quantity: line.quantity,
            unit_price: line.unit_price,
        };
        Self {
            tenant: Handle::parse(&body.tenant),
            currency: body.currency,
            period: body.period.map(|period| Period { start: period.start, end: period.end }),
            lines: body.lines.into_iter().map(written).collect(),
        }
    }
}

/// Opens an invoice by hand, for what no plan holds. Credit that the tenant has settles it at once
/// when it covers it.
#[utoipa::path(operation_id = "open_invoice", tag = "billing", request_body = InvoiceRequest, responses((status = 201, body = Invoice)), security(("bearer" = [])))]
#[post("/admin/v1/invoices")]
async fn open(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<InvoiceRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(by_hand::open(&app, &caller, body.value.into(), attempt).await?.respond())
}
