//! What the request at hand was refused, for whoever keeps account of it.

use std::cell::Cell;

use super::policy::Verb;

tokio::task_local! {
    static LAST: Cell<Option<Verb>>;
}

/// Notes that the caller of this request may not do `verb`.
pub(super) fn note(verb: Verb) {
    // Work outside of a request has nobody who would keep account.
    let _ = LAST.try_with(|last| last.set(Some(verb)));
}

/// What `work` comes to, and what its caller was refused last.
pub async fn watched<F: Future>(work: F) -> (F::Output, Option<Verb>) {
    LAST.scope(Cell::new(None), async {
        let output = work.await;
        (output, LAST.with(Cell::get))
    })
    .await
}
