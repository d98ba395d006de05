//! Second factors: one-time codes of an authenticator (TOTP, RFC 6238), and recovery codes for the day it is
//! lost. Alike for members and for operators.

pub mod commands;
pub mod http;
pub mod model;
pub(super) mod store;
