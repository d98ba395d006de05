//! Bounds on guessing passwords and codes. A try is taken from three budgets before it is made (its
//! address's, this account's from that address, and the account's), and given back when it was a good one.
//! An unknown account has budgets like a known one, so that they tell nobody who exists.

use std::time::Duration;

use super::sessions::store;
pub use super::sessions::store::Of;
use crate::app::App;
use crate::auth::Caller;
use crate::auth::throttle::{self, Allowance};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::UserId;

/// Wrong second factors of one account in the window, from wherever: a code has a million values only.
const FACTOR_TRIES: u32 = 5;
/// How long an address counts as one of the account's own.
const ACQUAINTED: Duration = Duration::from_secs(30 * 86_400);

/// Tries that were taken and not given back yet.
#[must_use]
pub struct Tries {
    app: App,
    taken: Vec<(&'static str, String, Allowance)>,
}

impl Tries {
    fn take(&mut self, deed: &'static str, who: String, times: u32) -> Result<()> {
        let allowance = Allowance { times, per: self.app.settings.throttle.window };
        self.app.throttle.take(deed, &who, allowance)?;
        self.taken.push((deed, who, allowance));
        Ok(())
    }

    /// The try was a good one: it costs nothing.
    pub fn succeeded(self) {
        for (deed, who, allowance) in &self.taken {
            self.app.throttle.give_back(deed, who, *allowance);
        }
    }
}

/// Takes one try at the password, or a code sent by mail, of the account `name`; `of` says whose it is when
/// it is known. Drop what it answers when the try was wrong.
///
/// # Errors
/// [`crate::kernel::error::Error::Limited`] when a budget is used up; nothing is taken then.
pub async fn begin(app: &App, caller: &Caller, name: &str, of: Option<Of>) -> Result<Tries> {
    let bounds = app.settings.throttle;
    let party = throttle::party(caller.address.as_deref());
    let mut tries = Tries { app: app.clone(), taken: Vec::new() };
    let taken = tries
        .take("address", party.clone(), bounds.tries_per_address)
        .and_then(|()| tries.take("pair", format!("{name} {party}"), bounds.tries_per_account_and_address));
    if let Err(limited) = taken {
        tries.succeeded();
        return Err(limited);
    }
    unless_acquainted(app, tries, "account", name, bounds.tries_per_account, of, &party).await
}

/// Takes one try at the second factor of the account `name`.
///
/// # Errors
/// As [`begin`].
pub async fn begin_factor(app: &App, caller: &Caller, name: &str, of: Option<Of>) -> Result<Tries> {
    let party = throttle::party(caller.address.as_deref());
    let tries = Tries { app: app.clone(), taken: Vec::new() };
    unless_acquainted(app, tries, "factor", name, FACTOR_TRIES, of, &party).await
}

/// Takes one signup from the budget of the caller's address.
///
/// # Errors
/// As [`begin`].
pub fn sign_up(app: &App, caller: &Caller) -> Result<()> {
    let bounds = app.settings.throttle;
    let allowance = Allowance { times: bounds.signups_per_address, per: bounds.window };
    app.throttle.take("signup", &throttle::party(caller.address.as_deref()), allowance)
}

/// Takes one mail that somebody without a credential asks for from the budget of their address, which is as
/// large as that for signups.
///
/// # Errors
/// As [`begin`].
pub fn ask_for_mail(app: &App, caller: &Caller) -> Result<()> {
    let bounds = app.settings.throttle;
    let allowance = Allowance { times: bounds.signups_per_address, per: bounds.window };
    app.throttle.take("mail", &throttle::party(caller.address.as_deref()), allowance)
}

/// The account's own budget. An address that the account signed in from lately has only that of the pair:
/// a stranger who uses the account's up does not keep its owner out.
async fn unless_acquainted(
    app: &App,
    mut tries: Tries,
    deed: &'static str,
    name: &str,
    times: u32,
    of: Option<Of>,
    party: &str,
) -> Result<Tries> {
    let Err(limited) = tries.take(deed, name.to_owned(), times) else { return Ok(tries) };
    // An unknown account is looked up like a known one.
    let of = of.unwrap_or_else(|| Of::User(UserId::mint()));
    let since = app.clock.now().micros().saturating_sub(i64::try_from(ACQUAINTED.as_micros()).unwrap_or(0));
    let since = Ts::from_micros(since).unwrap_or(app.clock.now());
    let known = app.db.read(move |conn| store::addresses_of(conn, of, since)).await?;
    if known.iter().any(|address| throttle::party(Some(address)) == party) {
        return Ok(tries);
    }
    tries.succeeded();
    Err(limited)
}
