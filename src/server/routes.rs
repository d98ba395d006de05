//! Every route, in one list.

use actix_web::web;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::SwaggerUi;

use super::{clock, system};
use crate::{
    audit, billing, catalog, directory, entitlements, feeds, identity, keys, metering, onboarding,
    operations, placement, projections, subscriptions, tenants, webhooks,
};

/// The documented endpoints.
pub(super) fn all(config: &mut ServiceConfig<'_>) {
    // Paths are tried in this order: first what stands in front of every request of the application.
    config
        .configure(keys::http::hot)
        .configure(entitlements::http::hot)
        .configure(metering::ingest::http::routes)
        .configure(placement::http::routes)
        .configure(keys::http::routes)
        .configure(catalog::http::routes)
        .configure(subscriptions::http::routes)
        .configure(subscriptions::overrides::http::routes)
        .configure(entitlements::http::routes)
        .configure(onboarding::http::routes)
        .configure(tenants::http::routes)
        .configure(billing::http::routes)
        .configure(identity::http::routes)
        .configure(operations::http::routes)
        .configure(feeds::http::routes)
        .configure(feeds::types::http::routes)
        .configure(audit::http::routes)
        .configure(metering::usage::http::routes)
        .configure(directory::http::routes)
        .configure(projections::http::routes)
        .configure(webhooks::http::routes)
        .configure(clock::routes)
        .configure(system::routes);
}

/// The document itself and the page that shows it.
pub(super) fn docs(config: &mut web::ServiceConfig) {
    config
        .service(web::redirect("/docs", "/docs/"))
        .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", super::document()));
}
