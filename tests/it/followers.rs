//! Followers of the log against writers in every order that dice can think of: some hold their transactions open,
//! some turn back, followers are cut off, fail and are killed. Each event is taken once, in the order of places,
//! and none is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tenantry::auth::Caller;
use tenantry::db::{Conn, Db, Engine, Options};
use tenantry::kernel::clock::{Clock, Ts};
use tenantry::kernel::error::{Error, Result};
use tenantry::kernel::id::{EventId, TenantId};
use tenantry::log::follower::{self, Begin, Follows};
use tenantry::log::{self, Entry, NewEvent, Place};
use tenantry::tenants::events::TenantUpdated;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::attacks::variants::Dice;
use crate::world::postgres::{Pg, TestDatabase};
use crate::world::server::eventually;
use crate::world::sqlite::Folder;

fn now() -> Ts {
    Clock::system().now()
}

/// A store, opened by some replicas.
struct Store {
    dbs: Vec<Db>,
    _folder: Option<Folder>,
    _database: Option<TestDatabase>,
}

impl Store {
    /// An embedded store has one process.
    async fn sqlite() -> Self {
        let folder = Folder::new();
        let db = Db::open(&folder.url("control.db"), &Options::default()).await.unwrap();
        Self { dbs: vec![db], _folder: Some(folder), _database: None }.made().await
    }

    async fn postgres(pg: &Pg) -> Self {
        let database = pg.fresh_database();
        let options = Options { max_connections: 6, ..Options::default() };
        let mut dbs = Vec::new();
        for _ in 0..3 {
            dbs.push(Db::open(&database.url, &options).await.unwrap());
        }
        Self { dbs, _folder: None, _database: Some(database) }.made().await
    }

    /// All there are to test on.
    async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        for pg in Pg::each() {
            all.push(Self::postgres(pg).await);
        }
        all
    }

    /// With a table that says in its order what was taken, as often as it was.
    async fn made(self) -> Self {
        self.db().migrate().await.unwrap();
        let number = match self.db().engine() {
            Engine::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Engine::Postgres => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        };
        let sql = format!(
            "CREATE TABLE taken (n {number}, follower text NOT NULL, txid bigint NOT NULL, seq bigint NOT NULL, \
             id text NOT NULL)"
        );
        self.db().write(move |conn| conn.execute_batch(&sql)).await.unwrap();
        self
    }

    fn db(&self) -> &Db {
        &self.dbs[0]
    }

    /// Any of its replicas.
    fn any(&self, dice: &mut Dice) -> &Db {
        &self.dbs[dice.below(self.dbs.len())]
    }

    /// A follower of this test's own that begins now.
    async fn scribe(&self, name: String) -> Arc<Scribe> {
        let name: &'static str = name.leak();
        self.db().write(move |conn| follower::open_in(conn, name, Begin::Now, now())).await.unwrap();
        Arc::new(Scribe { name, fails: AtomicUsize::new(0), dies: AtomicUsize::new(0) })
    }

    /// What it wrote down, in its order, and where it stands.
    async fn seen(&self, scribe: &Scribe) -> (Vec<(Place, String)>, Place) {
        let name = scribe.name;
        let read = move |conn: &mut Conn| {
            let place = follower::find_in(conn, name)?.unwrap().place;
            let sql = format!("SELECT txid, seq, id FROM taken WHERE follower = '{name}' ORDER BY n");
            let rows: Vec<Row> = tenantry::each!(conn, |c| diesel::sql_query(sql).load(c)?);
            let taken = rows.into_iter().map(|row| (Place { txid: row.txid, seq: row.seq }, row.id));
            Ok((taken.collect(), place))
        };
        self.db().read(read).await.unwrap()
    }

    async fn taken(&self, scribe: &Scribe) -> Vec<(Place, String)> {
        self.seen(scribe).await.0
    }

    async fn pause(&self, scribe: &Scribe, yes: bool) {
        let name = scribe.name;
        let at = match (yes, self.db().engine()) {
            (false, _) => "NULL",
            (true, Engine::Sqlite) => "1",
            (true, Engine::Postgres) => "now()",
        };
        let sql = format!("UPDATE followers SET paused_at = {at} WHERE name = '{name}'");
        self.db().write_held(move |conn| conn.execute_batch(&sql)).await.unwrap();
    }

    async fn place(&self, scribe: &Scribe) -> Place {
        let name = scribe.name;
        self.db().read(move |conn| follower::find_in(conn, name)).await.unwrap().unwrap().place
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    txid: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Writes down what it takes.
struct Scribe {
    name: &'static str,
    /// So many times it fails after it has written.
    fails: AtomicUsize,
    /// So many times the server ends its session after it has written.
    dies: AtomicUsize,
}

fn count_down(from: &AtomicUsize) -> bool {
    from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Follows for Scribe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin(&self) -> Begin {
        Begin::Now
    }

    fn take_in(&self, conn: &mut Conn, entries: &[Entry], _: Ts) -> Result<()> {
        for Entry { place, id, .. } in entries {
            let values = format!("'{}', {}, {}, '{id}'", self.name, place.txid, place.seq);
            conn.execute_batch(&format!("INSERT INTO taken (follower, txid, seq, id) VALUES ({values})"))?;
        }
        if count_down(&self.fails) {
            return Err(Error::internal("it fails because it is told to"));
        }
        if matches!(conn, Conn::Postgres(_)) && count_down(&self.dies) {
            conn.execute_batch("SELECT pg_terminate_backend(pg_backend_pid())")?;
        }
        Ok(())
    }
}

/// Appends so many events.
fn append(conn: &mut Conn, many: usize) -> Result<Vec<EventId>> {
    let by = Caller::system("test");
    let fact = |at: usize| TenantUpdated { slug: "acme".into(), name: format!("Acme {at}") };
    let event = |at| NewEvent::of(TenantId::mint(), fact(at));
    (0..many).map(|at| log::append_in(conn, &by, now(), event(at))).collect()
}

async fn write(db: Db, many: usize) -> Vec<EventId> {
    db.write(move |conn| append(conn, many)).await.unwrap()
}

/// A transaction that appends and does not end before it is told to.
struct Slow {
    txid: i64,
    since: Instant,
    gate: Gate,
    done: JoinHandle<Result<Vec<EventId>>>,
}

impl Slow {
    /// Only on PostgreSQL: an embedded store has one writer.
    async fn begin(db: &Db, many: usize, turns_back: bool) -> Self {
        let gate = Gate::default();
        let (inner, db) = (Arc::clone(&gate.0), db.clone());
        let (tell, mut told) = tokio::sync::watch::channel(0);
        let done = tokio::spawn(async move {
            let work = move |conn: &mut Conn| {
                let ids = append(conn, many)?;
                let Conn::Postgres(c) = conn else { return Err(Error::internal("not PostgreSQL")) };
                let sql = "SELECT pg_current_xact_id()::text::bigint AS number";
                tell.send_replace(diesel::sql_query(sql).get_result::<Number>(c)?.number);
                let mut open = inner.0.lock().unwrap();
                while !*open {
                    open = inner.1.wait(open).unwrap();
                }
                if turns_back { Err(Error::internal("turned back")) } else { Ok(ids) }
            };
            db.write_held(work).await
        });
        let txid = *told.wait_for(|txid| *txid > 0).await.unwrap();
        Self { txid, since: Instant::now(), gate, done }
    }

    /// What it left in the log.
    async fn end(self) -> Vec<EventId> {
        self.gate.open();
        self.done.await.unwrap().unwrap_or_default()
    }
}

/// What holds a transaction up. It opens when the test is over, however it ends: else it would never end.
#[derive(Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

fn ids(all: Vec<EventId>) -> impl Iterator<Item = String> {
    all.into_iter().map(|id| id.to_string())
}

/// Everything at random, for so many turns. What was taken is looked at after each.
async fn story(store: &Store, seed: u64, turns: usize) {
    let mut dice = Dice::new(seed);
    let scribe = store.scribe(format!("tests_{seed}")).await;
    let follows: Arc<dyn Follows> = scribe.clone();
    let embedded = store.db().engine() == Engine::Sqlite;
    let (mut written, mut slow, mut paused) = (BTreeSet::new(), Vec::<Slow>::new(), false);
    for turn in 0..turns {
        // The server itself ends a session that idles in a transaction for ten seconds.
        if let Some(at) = slow.iter().position(|one| one.since.elapsed() > Duration::from_secs(4)) {
            written.extend(ids(slow.swap_remove(at).end().await));
        }
        let before = store.place(&scribe).await;
        match dice.below(12) {
            0..=2 => {
                let mut writers = JoinSet::new();
                for _ in 0..=dice.below(3) {
                    writers.spawn(write(store.any(&mut dice).clone(), 1 + dice.below(3)));
                }
                writers.join_all().await.into_iter().for_each(|all| written.extend(ids(all)));
            }
            3 => {
                let turned = store.any(&mut dice).write(|conn| {
                    append(conn, 2)?;
                    Err::<(), _>(Error::internal("turned back"))
                });
                turned.await.unwrap_err();
            }
            4 | 5 if !embedded && slow.len() < 3 => {
                let one = Slow::begin(store.any(&mut dice), 1 + dice.below(2), dice.one_in(3));
                slow.push(one.await);
            }
            6 if !slow.is_empty() => {
                let one = slow.swap_remove(dice.below(slow.len()));
                written.extend(ids(one.end().await));
            }
            7 => {
                // It dies somewhere: at its reading, between that and its writing, or at its end.
                let cut = Duration::from_micros(u64::try_from(dice.below(3_000)).unwrap());
                let (db, follows) = (store.any(&mut dice).clone(), follows.clone());
                let step =
                    tokio::spawn(async move { follower::step(&db, now(), &follows, 500).await.map(drop) });
                drop(tokio::time::timeout(cut, std::future::pending::<()>()).await);
                step.abort();
                drop(step.await);
            }
            8 => {
                // One of its own: a step that was cut off in an earlier turn may still be at work.
                let dies = usize::from(!embedded && dice.one_in(2));
                let ill = Arc::new(Scribe {
                    name: scribe.name,
                    fails: AtomicUsize::new(1 - dies),
                    dies: AtomicUsize::new(dies),
                });
                let follows: Arc<dyn Follows> = ill.clone();
                let step = follower::step(store.any(&mut dice), now(), &follows, 500).await;
                let spared = ill.fails.load(Ordering::SeqCst) + ill.dies.load(Ordering::SeqCst) == 1;
                assert!(spared || step.is_err(), "seed {seed}, turn {turn}: {step:?}");
            }
            9 => {
                paused = !paused;
                store.pause(&scribe, paused).await;
            }
            _ => {
                // Replicas at once; whoever comes second with a stretch does nothing.
                let limit = 1 + i64::try_from(dice.below(8)).unwrap();
                let (one, other) = (store.any(&mut dice), store.any(&mut dice));
                let (one, other) = tokio::join!(
                    follower::step(one, now(), &follows, limit),
                    follower::step(other, now(), &follows, limit)
                );
                let taken = one.unwrap().events + other.unwrap().events;
                assert!(!paused || taken == 0, "seed {seed}, turn {turn}: it was paused");
            }
        }
        // A step that was cut off may still be at its end: both are of one moment.
        let (taken, place) = store.seen(&scribe).await;
        let rising = taken.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(rising, "seed {seed}, turn {turn}: each once and in order: {taken:#?}");
        assert!(place >= before, "seed {seed}, turn {turn}: it went back");
        assert!(
            taken.last().is_none_or(|(last, _)| *last == place),
            "seed {seed}, turn {turn}: what it says it took"
        );
        let open = slow.iter().map(|one| one.txid).min().unwrap_or(i64::MAX);
        assert!(place.txid < open, "seed {seed}, turn {turn}: past a transaction that is under way");
        assert!(taken.iter().all(|(_, id)| written.contains(id)), "seed {seed}, turn {turn}: what never was");
    }
    for one in slow {
        written.extend(ids(one.end().await));
    }
    store.pause(&scribe, false).await;
    // Other tests' transactions on the same cluster hold up ours.
    eventually("everything to be taken", || async {
        while follower::step(store.db(), now(), &follows, 7).await.unwrap().more {}
        (store.taken(&scribe).await.len() >= written.len()).then_some(())
    })
    .await;
    let taken = store.taken(&scribe).await;
    assert!(taken.windows(2).all(|pair| pair[0].0 < pair[1].0), "seed {seed}, at the end");
    assert_eq!(
        taken.into_iter().map(|(_, id)| id).collect::<BTreeSet<_>>(),
        written,
        "seed {seed}: none lost"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_taken_once_and_in_order_on_sqlite() {
    let store = Store::sqlite().await;
    for seed in 0..24 {
        story(&store, seed, 40).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_taken_once_and_in_order_on_postgres_with_slow_transactions_under_way() {
    for (pg, first) in Pg::each().iter().zip([1_000, 2_000]) {
        let store = Store::postgres(pg).await;
        for seed in first..first + 12 {
            story(&store, seed, 60).await;
        }
    }
}

/// Nothing past a transaction that is under way is given to anybody, and it comes in its place when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_given_past_a_slow_transaction() {
    for pg in Pg::each() {
        let store = Store::postgres(pg).await;
        let scribe = store.scribe("tests_slow".into()).await;
        let follows: Arc<dyn Follows> = scribe.clone();
        let slow = Slow::begin(&store.dbs[1], 1, false).await;
        let (held, after) = (slow.txid, write(store.dbs[0].clone(), 3).await);
        for db in store.dbs.iter().cycle().take(9) {
            assert_eq!(follower::step(db, now(), &follows, 500).await.unwrap().events, 0);
            let seen = db.read(|conn| log::settled_in(conn, Place::default(), None, 100)).await.unwrap();
            assert!(seen.iter().all(|entry| entry.place.txid < held));
        }
        let first = slow.end().await;
        eventually("all four", || async {
            follower::step(store.db(), now(), &follows, 500).await.unwrap();
            (store.taken(&scribe).await.len() == 4).then_some(())
        })
        .await;
        let taken: Vec<String> = store.taken(&scribe).await.into_iter().map(|(_, id)| id).collect();
        assert_eq!(taken, ids(first).chain(ids(after)).collect::<Vec<_>>());
    }
}

/// Replicas that follow by themselves, while many write at once and followers die and begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_follow_at_once_and_die_and_nothing_is_lost_or_doubled() {
    for store in Store::each().await {
        let mut dice = Dice::new(7);
        let scribe = store.scribe("tests_at_once".into()).await;
        let follows: Arc<dyn Follows> = scribe.clone();
        let stop = CancellationToken::new();
        let follow = |db: &Db| {
            tokio::spawn(follower::keep(db.clone(), Clock::system(), follows.clone(), stop.clone()))
        };
        let mut replicas: Vec<_> = (0..3).map(|at| follow(&store.dbs[at % store.dbs.len()])).collect();
        let mut written = BTreeSet::new();
        for round in 0..12 {
            let mut writers = JoinSet::new();
            for _ in 0..6 {
                writers.spawn(write(store.any(&mut dice).clone(), 1 + dice.below(4)));
            }
            writers.join_all().await.into_iter().for_each(|all| written.extend(ids(all)));
            match round % 3 {
                0 => scribe.fails.store(1, Ordering::SeqCst),
                1 => scribe.dies.store(1, Ordering::SeqCst),
                _ => {}
            }
            let at = dice.below(replicas.len());
            replicas[at].abort();
            replicas[at] = follow(store.any(&mut dice));
        }
        eventually("everything to be taken", || async {
            (store.taken(&scribe).await.len() >= written.len()).then_some(())
        })
        .await;
        stop.cancel();
        for replica in replicas {
            drop(replica.await);
        }
        let taken = store.taken(&scribe).await;
        assert!(taken.windows(2).all(|pair| pair[0].0 < pair[1].0), "each once and in order");
        assert_eq!(taken.into_iter().map(|(_, id)| id).collect::<BTreeSet<_>>(), written);
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T>) -> &'static str {
    match answer {
        Err(Error::Unavailable { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

/// Who waits for a follower goes on when it has come there, whichever replica moved it, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_follower_goes_on_when_it_is_there() {
    for store in Store::each().await {
        let scribe = store.scribe("tests_awaited".into()).await;
        let follows: Arc<dyn Follows> = scribe.clone();
        let name = scribe.name;
        let (one, other) = (&store.dbs[0], store.dbs.last().unwrap());
        let start = store.place(&scribe).await;
        log::reached(one, name, start, Duration::ZERO).await.unwrap();
        write(one.clone(), 2).await;
        let last = eventually("the end to be settled", || async {
            let end = one.read(log::end_in).await.unwrap();
            (end > start).then_some(end)
        })
        .await;
        log::settled(one, last, Duration::ZERO).await.unwrap();
        let short = Duration::from_millis(30);
        assert_eq!(code(log::reached(one, name, last, short).await), "projection_behind");
        assert_eq!(
            code(log::settled(one, Place { seq: last.seq + 9, ..last }, short).await),
            "projection_behind"
        );
        assert_eq!(code(log::reached(one, "tests_nobody", last, short).await), "projection_behind");

        let long = Duration::from_secs(60);
        let waiting: Vec<_> = [one, other]
            .map(|db| {
                let db = db.clone();
                tokio::spawn(async move { log::reached(&db, name, last, long).await })
            })
            .into();
        follower::step(other, now(), &follows, 1).await.unwrap();
        assert!(waiting.iter().all(|wait| !wait.is_finished()), "it is half way");
        while follower::step(other, now(), &follows, 1).await.unwrap().more {}
        for wait in waiting {
            wait.await.unwrap().unwrap();
        }

        // Of one that stands still nobody waits long for more; what it has, it has.
        store.pause(&scribe, true).await;
        log::reached(one, name, last, long).await.unwrap();
        let more = Place { seq: last.seq + 1, ..last };
        assert_eq!(code(log::reached(one, name, more, long).await), "projection_behind");
    }
}
