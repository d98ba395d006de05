//! Time. Rules take the present as an argument; only the edge asks a [`Clock`].

use std::sync::Arc;
use std::time::Duration;

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::sql::SqlTs;

/// A moment in UTC with microsecond precision (what both engines can store); RFC 3339 with `Z` in JSON.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[serde(transparent)]
#[diesel(sql_type = SqlTs)]
pub struct Ts(Timestamp);

impl Ts {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(Timestamp::UNIX_EPOCH);

    /// From microseconds since 1970-01-01T00:00:00Z; `None` outside the years -9999 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        Timestamp::from_microsecond(micros).ok().map(Self)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as JWTs count.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The same moment, for calendars.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// A moment of a calendar, cut to microseconds.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self::from_micros(at.as_microsecond()).unwrap_or(Self(at))
    }

    /// This moment plus `by`; stays at the last representable moment when that overflows.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        self.0.checked_add(by).map_or(Self(Timestamp::MAX), Self)
    }

    /// This moment minus `by`; stays at the first representable moment when that overflows.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        self.0.checked_sub(by).map_or(Self(Timestamp::MIN), Self)
    }

    /// How long from `earlier` to this moment; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros().saturating_sub(earlier.micros())).unwrap_or(0))
    }
}

impl std::fmt::Display for Ts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Ts {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at: Timestamp = text.parse()?;
        Timestamp::from_microsecond(at.as_microsecond()).map(Self)
    }
}

impl utoipa::PartialSchema for Ts {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339 in UTC, ending in Z"))
            .into()
    }
}

impl utoipa::ToSchema for Ts {
    fn name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
}

/// Where the present comes from: the system, or a test that owns time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Mutex<Ts>>>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `at` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn fixed(at: Ts) -> Self {
        Self(Some(Arc::new(Mutex::new(at))))
    }

    /// The present.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine's clock")]
    pub fn now(&self) -> Ts {
        match &self.0 {
            Some(fixed) => *fixed.lock(),
            None => Ts::from_micros(Timestamp::now().as_microsecond()).unwrap_or(Ts::EPOCH),
        }
    }

    /// Moves a fixed clock forward; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Some(fixed) = &self.0 {
            let mut at = fixed.lock();
            *at = at.plus(by);
        }
    }
}
