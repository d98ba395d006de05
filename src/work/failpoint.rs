//! Places where a test can hold the process to kill it there. Absent from release builds.

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Arms the one failpoint of this process; the first call wins. Release builds ignore it.
pub fn arm(name: String) {
    #[cfg(debug_assertions)]
    drop(ARMED.set(name));
    #[cfg(not(debug_assertions))]
    drop(name);
}

/// Holds the process here for ever when the failpoint `name` is armed, after saying so in the log.
pub async fn reach(name: impl FnOnce() -> String) {
    #[cfg(debug_assertions)]
    if let Some(armed) = ARMED.get()
        && *armed == name()
    {
        tracing::warn!(failpoint = %armed, "failpoint reached");
        std::future::pending::<()>().await;
    }
    #[cfg(not(debug_assertions))]
    drop(name);
}
