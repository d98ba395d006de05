//! What is told when an endpoint is switched off by itself: an event, and letters to who can mend it.

use std::time::Duration;

use super::events::WebhookEndpointDisabled;
use super::store::settle::SwitchedOff;
use crate::app::App;
use crate::auth::Caller;
use crate::db::Conn;
use crate::identity;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::log::{self, NewEvent};
use crate::mail::{self, Letter, LetterKind, NewMail};
use crate::tenants::{self, Handle};

/// How long such a letter is worth delivering.
const WORTH: Duration = Duration::from_secs(7 * 86_400);

/// Tells of it in the transaction that switches it off. Wake the workers after.
///
/// # Errors
/// The store's.
pub fn switched_off_in(conn: &mut Conn, app: &App, off: &SwitchedOff, now: Ts) -> Result<()> {
    let (id, tenant) = (off.endpoint.id, off.endpoint.tenant_id);
    let disabled =
        WebhookEndpointDisabled { endpoint_id: id, reason: off.reason, failing_since: Some(off.since) };
    log::append_in(conn, &Caller::system("webhooks"), now, NewEvent::of(tenant, disabled))?;
    let slug = tenants::get_in(conn, &Handle::Id(tenant))?.slug.to_string();
    for to in identity::keepers_emails_in(conn, tenant)? {
        let words = [
            ("slug", slug.clone()),
            ("endpoint", off.endpoint.url.clone()),
            ("since", off.since.to_string()),
            ("error", off.last.clone()),
        ];
        let letter = Letter::new(LetterKind::WebhookDisabled, &to, &words);
        let mail = NewMail { letter, tenant: Some(tenant), expires_at: now.plus(WORTH) };
        mail::post_in(conn, &app.vault, now, &mail)?;
    }
    Ok(())
}
