//! A feed as server-sent events, for as long as the reader may see it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::model::Lens;
use super::queries;
use super::tail::{Look, Seat};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::http::caller::Credential;
use crate::kernel::error::{Error, Result};
use crate::log::Place;

/// How often a stream with no news says that it lives, and looks whether its reader still may see it.
const BEAT: Duration = Duration::from_secs(15);
/// Events that go out together at most: what a slow reader makes memory hold.
const TOGETHER: u32 = 100;

/// A stream at some place.
pub struct Stream {
    app: App,
    lens: Lens,
    place: Place,
    caller: Caller,
    credential: Credential,
    head: watch::Receiver<Option<Place>>,
    beat: Interval,
    began: bool,
    _seat: Seat,
}

impl Stream {
    /// One that begins after `place`.
    #[must_use]
    pub fn new(
        app: &App,
        lens: Lens,
        place: Place,
        (caller, credential): (Caller, Credential),
        seat: Seat,
    ) -> Self {
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let head = app.tail.head();
        Self { app: app.clone(), lens, place, caller, credential, head, beat, began: false, _seat: seat }
    }

    /// What goes out next; `None` when the stream ends.
    pub async fn next(&mut self) -> Option<Bytes> {
        match self.advance().await {
            Ok(next) => next,
            Err(error) => {
                tracing::debug!(error = %error, "a stream of events ends");
                None
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Bytes>> {
        if !self.began {
            self.began = true;
            return Ok(Some(Bytes::from(format!("retry: 1000\nid: {}\n: here it begins\n\n", self.place))));
        }
        loop {
            self.head.mark_unchanged();
            let limit = usize::try_from(TOGETHER).unwrap_or(usize::MAX);
            let (told, to) = match self.app.tail.after(self.place, &self.lens, limit) {
                Look::News(told, to) => (told, to),
                Look::Behind => queries::stored(&self.app, &self.lens, self.place, TOGETHER).await?,
                Look::Nothing => (Vec::new(), self.place),
            };
            let moved = to != self.place;
            self.place = to;
            if !told.is_empty() {
                self.still().await?;
                let mut frames = String::new();
                told.iter().for_each(|one| one.write_frame(&mut frames));
                return Ok(Some(Bytes::from(frames)));
            }
            if moved {
                continue;
            }
            tokio::select! {
                changed = self.head.changed() => changed.map_err(Error::internal)?,
                () = self.app.stopping.cancelled() => return Ok(None),
                _ = self.beat.tick() => {
                    self.still().await?;
                    // With its id, so that who comes back need not look again at what was not for them.
                    return Ok(Some(Bytes::from(format!("id: {}\n: beat\n\n", self.place))));
                }
            }
        }
    }

    async fn still(&self) -> Result<()> {
        still(&self.caller, &self.credential, &self.lens).await
    }
}

/// Whether whoever began to follow still may, by what memory knows of their credential.
///
/// # Errors
/// Why they may not.
pub async fn still(caller: &Caller, credential: &Credential, lens: &Lens) -> Result<()> {
    let now = Caller { who: credential.who().await?, ..caller.clone() };
    if lens.as_tenant {
        let own = now.tenant(Verb::ReadOwnEvents)?;
        if lens.tenant != Some(own) {
            return Err(Error::NotFound("feed"));
        }
        return Ok(());
    }
    now.may(Verb::ReadEvents)
}
