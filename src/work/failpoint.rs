//! Places where a test can hold the process to kill it there. Absent from release builds.

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Arms the failpoints of this process, separated by commas; the first call wins. Release builds ignore it.
pub fn arm(names: String) {
    #[cfg(debug_assertions)]
    drop(ARMED.set(names));
    #[cfg(not(debug_assertions))]
    drop(names);
}

/// Holds the process here for ever when the failpoint `name` is armed, after saying so in the log.
pub async fn reach(name: impl FnOnce() -> String) {
    #[cfg(debug_assertions)]
    if let Some(armed) = ARMED.get() {
        let name = name();
        if armed.split(',').any(|one| one == name) {
            tracing::warn!(failpoint = %name, "failpoint reached");
            std::future::pending::<()>().await;
        }
    }
    #[cfg(not(debug_assertions))]
    drop(name);
}
