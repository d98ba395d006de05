//! Whether the transaction of this thread appended to the log, so that its commit is worth a word to other
//! replicas. A transaction runs on one thread from begin to end.

use std::cell::Cell;

thread_local! {
    static APPENDED: Cell<bool> = const { Cell::new(false) };
}

/// The present transaction appends to the log.
pub(crate) fn appends() {
    APPENDED.set(true);
}

/// Whether it did, since this was last asked.
pub(super) fn taken() -> bool {
    APPENDED.take()
}
