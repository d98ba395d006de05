//! The trail as a file: a whole range, oldest first, written while it is read, so that memory holds a part alone.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::model::csv;
use super::queries::{Of, View};
use crate::app::App;
use crate::auth::Caller;
use crate::http::caller::Credential;
use crate::kernel::error::{Error, Result};
use crate::log::{self, Narrow, Order, Place};
use crate::words;

/// Entries that are read together.
const PART: u32 = 500;
/// How often it is asked whether the reader still may read: a key may be revoked meanwhile.
const CHECK: Duration = Duration::from_secs(5);

words! {
    /// The form of an export.
    Format as "AuditFormat", "form of an export" {
        /// JSON Lines: an entry a line, as the lists show it.
        Jsonl = "jsonl",
        /// CSV with a line of names.
        Csv = "csv",
    }
}

impl Format {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// An export under way.
pub struct Export {
    app: App,
    view: View,
    reader: (Caller, Credential),
    checked: Instant,
    format: Format,
    /// Where to go on; none when all was read.
    from: Option<Place>,
    /// What happens after it began is not in it.
    end: Place,
    begun: bool,
    _seat: OwnedSemaphorePermit,
}

impl Export {
    /// Begins one.
    ///
    /// # Errors
    /// As [`View::of`]; [`Error::Limited`] when as many are under way as this replica writes at once.
    pub async fn begin(
        app: &App,
        reader: (Caller, Credential),
        of: Of,
        narrow: Narrow,
        format: Format,
    ) -> Result<Self> {
        let view = View::of(app, &reader.0, of, narrow).await?;
        let seat = app.audit.exports.clone().try_acquire_owned().map_err(|_| Error::Limited {
            detail: "as many exports are being written as may be at once; try again shortly".into(),
            retry_after: Duration::from_secs(5),
        })?;
        let end = app.db.read(log::end_in).await?;
        Ok(Self {
            app: app.clone(),
            view,
            reader,
            checked: Instant::now(),
            format,
            from: Some(Place::default()),
            end,
            begun: false,
            _seat: seat,
        })
    }

    /// The next part; `None` when all was written. After an error the file is not whole, and the connection must
    /// not end as if it were.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        if !self.begun {
            self.begun = true;
            if self.format == Format::Csv {
                return Some(Ok(Bytes::from(csv::head())));
            }
        }
        while let Some(from) = self.from {
            match self.part(from).await {
                Ok(text) if text.is_empty() => {}
                Ok(text) => return Some(Ok(Bytes::from(text))),
                Err(error) => {
                    self.from = None;
                    tracing::warn!(error = %error, "an export was cut off");
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn part(&mut self, from: Place) -> Result<String> {
        if self.checked.elapsed() > CHECK {
            let (caller, credential) = &self.reader;
            let now = Caller { who: credential.who().await?, ..caller.clone() };
            self.view.still(&now)?;
            self.checked = Instant::now();
        }
        let (entries, more) = self.view.read(&self.app, from, Order::Asc, PART).await?;
        self.from = more.filter(|place| *place < self.end);
        let mut text = String::new();
        let known = entries.into_iter().filter(|entry| entry.place <= self.end);
        for shown in known.filter_map(|entry| self.view.show(entry)) {
            match self.format {
                Format::Csv => csv::row(&mut text, &shown),
                Format::Jsonl => {
                    text.push_str(&serde_json::to_string(&shown).map_err(Error::internal)?);
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }
}
