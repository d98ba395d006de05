//! What the transaction of this thread appended to the log: its commit is worth a word to other replicas, and
//! the place of its last event is told to whoever waits for the answer. A transaction runs on one thread from
//! begin to end.

use std::cell::Cell;

use crate::log::Place;

/// What a transaction did to the log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Word {
    /// Whether it appended.
    pub(super) appended: bool,
    /// The place of the last event that its caller should be told of.
    pub(super) place: Option<Place>,
}

thread_local! {
    static WORD: Cell<Word> = const { Cell::new(Word { appended: false, place: None }) };
}

tokio::task_local! {
    static REACHED: Cell<Option<Place>>;
}

/// The present transaction appended the event that stands at `place`.
pub(crate) fn appends(place: Place) {
    WORD.set(Word { appended: true, place: WORD.get().place.max(Some(place)) });
}

/// The present transaction answers with what another one did, which appended up to `place`.
pub(crate) fn repeats(place: Place) {
    let word = WORD.get();
    WORD.set(Word { place: word.place.max(Some(place)), ..word });
}

/// The place of the last event that the present transaction has appended so far.
pub(crate) fn place() -> Option<Place> {
    WORD.get().place
}

/// What it did, since this was last asked.
pub(super) fn taken() -> Word {
    WORD.take()
}

/// A transaction that this task waited for has come to stand in the log, and its last event stands at `place`.
pub(crate) fn note(place: Option<Place>) {
    if place.is_some() {
        // Who works for nobody that asks has no such cell.
        let _nobody_asks = REACHED.try_with(|reached| reached.set(reached.get().max(place)));
    }
}

/// Runs `work`, and answers also the place of the last event that the transactions it waited for appended.
pub(crate) async fn collect<F: Future>(work: F) -> (F::Output, Option<Place>) {
    let counted = async {
        let answer = work.await;
        (answer, REACHED.with(Cell::get))
    };
    REACHED.scope(Cell::new(None), counted).await
}
