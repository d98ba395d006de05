//! What a statement may take of the process's memory.
//!
//! SQLite bounds each value, not how many a statement holds, and counts its memory for the whole process
//! only. So while a statement runs, one looks every millisecond how far the process has grown since it
//! began, and stops it when that is too much. It is the process that is measured: under such pressure an
//! innocent statement may be stopped too, but the control plane beside it never is. Whatever SQLite takes at once,
//! between two looks, meets the engine's own limit for the process, [`ENGINE_ROOM`] further on.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Time between two looks; memory can hardly be filled faster than some 10 MiB in it.
const LOOK: Duration = Duration::from_millis(1);

/// What SQLite may take in this process beyond one statement's allowance: the caches of the control store
/// and of open files, all of which it gives back when it comes near.
pub(super) const ENGINE_ROOM: u64 = 256 << 20;

/// Watches the growth of this process.
#[derive(Debug)]
pub(super) struct Watch {
    most: u64,
    least: Option<u64>,
    next: Instant,
}

impl Watch {
    /// Allows the process to grow by this many bytes from now on.
    pub(super) fn new(most: u64) -> Self {
        Self { most, least: None, next: Self::after(Instant::now()) }
    }

    fn after(now: Instant) -> Instant {
        now.checked_add(LOOK).unwrap_or(now)
    }

    /// Whether it has grown by more. Cheap: most calls only compare the time.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = Self::after(now);
        let Some(taken) = resident() else { return false };
        let least = self.least.map_or(taken, |least| least.min(taken));
        self.least = Some(least);
        taken.saturating_sub(least) > self.most
    }
}

/// The process's memory in bytes, where the system tells: Linux does.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(page_bytes()))
}

/// The size of a page, which the kernel tells every program at its start (`AT_PAGESZ`, getauxval(3)).
fn page_bytes() -> u64 {
    const PAGE_SIZE: u64 = 6;
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let told = std::fs::read("/proc/self/auxv").unwrap_or_default();
        let (words, _) = told.as_chunks::<8>();
        let (pairs, _) = words.as_chunks::<2>();
        let found = pairs.iter().find(|[key, _]| u64::from_ne_bytes(*key) == PAGE_SIZE);
        found.map_or(4_096, |[_, value]| u64::from_ne_bytes(*value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_noticed() {
        let mut watch = Watch::new(32 << 20);
        let later = || Instant::now() + LOOK;
        assert!(!watch.is_over(Instant::now()), "nothing is looked at so early");
        if resident().is_none() {
            return;
        }
        assert!(!watch.is_over(later()));
        let held = vec![1u8; 256 << 20];
        assert!(watch.is_over(later() + LOOK), "{} bytes more", held.len());
    }
}
