//! The endpoints of people: each room has its own.

use utoipa_actix_web::service_config::ServiceConfig;

use super::{account, factors, invitations, members, operators, sessions, signing};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .configure(sessions::http::routes)
        .configure(signing::http::routes)
        .configure(factors::http::routes)
        .configure(operators::http::routes)
        .configure(account::http::routes)
        .configure(members::http::routes)
        .configure(invitations::http::routes);
}
