//! Delivers letters that wait.

use super::{SEND_OPERATION, store};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::MailId;
use crate::work::runner::{Running, Worker};
use crate::work::{GIVEN_UP, Operation};

/// Does [`SEND_OPERATION`].
pub struct Postman(pub App);

impl Worker for Postman {
    fn kind(&self) -> &'static str {
        SEND_OPERATION
    }

    fn run<'a>(&'a self, operation: &'a Operation, _: &'a str) -> Running<'a> {
        Box::pin(async move {
            let id = operation.input.get("mail_id").and_then(|id| id.as_str()).unwrap_or_default();
            self.deliver(id.parse().map_err(Error::internal)?).await
        })
    }
}

impl Postman {
    async fn deliver(&self, id: MailId) -> Result<()> {
        let app = &self.0;
        let vault = app.vault.clone();
        // A letter that is not there was delivered, or is not wanted any more.
        let Some((letter, expires_at)) = app.db.read(move |conn| store::find(conn, &vault, id)).await? else {
            return Ok(());
        };
        let late = app.clock.now() >= expires_at;
        if !late {
            let began = std::time::Instant::now();
            let sent = app.mailer.deliver(id, &letter).await;
            metrics::histogram!("tenantry_mail_delivery_seconds").record(began.elapsed().as_secs_f64());
            let outcome = if sent.is_ok() { "delivered" } else { "failed" };
            metrics::counter!("tenantry_mails_total", "letter" => letter.kind.word(), "outcome" => outcome)
                .increment(1);
            sent?;
        }
        app.db.write(move |conn| store::remove(conn, id)).await?;
        if late {
            metrics::counter!("tenantry_mails_total", "letter" => letter.kind.word(), "outcome" => "expired")
                .increment(1);
            return Err(Error::refused(GIVEN_UP, "it could not be delivered while it held"));
        }
        Ok(())
    }
}
