//! Operations as their readers see them: whoever waits for one, and operators. The work itself is the
//! floor's (`work`).
pub mod http;
