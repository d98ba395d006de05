//! Roll-ups against a slow recount: whatever came in, in whichever order it was followed, dropped and built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};

use tenantry::db::{Conn, Db, Options};
use tenantry::kernel::clock::Ts;
use tenantry::kernel::id::TenantId;
use tenantry::metering::counted::{self, Counted, Mark};
use tenantry::metering::ingest::{NewUsage, insert_in};
use tenantry::metering::rollups::{self, Cell, Tally, worker};

use crate::world::postgres::{Pg, TestDatabase};
use crate::world::sqlite::Folder;

const HOUR: i64 = 3_600_000_000;
const NOW: i64 = 1_790_000_000_000_000;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn small(&mut self, sides: u64) -> i64 {
        i64::try_from(self.roll(sides)).unwrap()
    }
}

/// An event in plain numbers.
#[derive(Clone)]
struct Fact {
    tenant: usize,
    id: u64,
    at: i64,
    value: i64,
    group: u64,
    received: i64,
}

fn ts(micros: i64) -> Ts {
    Ts::from_micros(micros).unwrap()
}

fn group(number: u64) -> String {
    if number == 0 { String::new() } else { format!("{{\"g\":\"{number}\"}}") }
}

fn usage(tenants: &[TenantId], fact: &Fact, received: i64) -> NewUsage {
    let one =
        |meter: &str, value, unique| Counted { meter: meter.into(), value, group: group(fact.group), unique };
    let mark = Mark(u128::try_from(fact.value).unwrap());
    NewUsage {
        tenant: tenants[fact.tenant],
        source: "/tests".into(),
        id: fact.id.to_string(),
        kind: "x".into(),
        at: ts(fact.at),
        received_at: ts(received),
        counts: counted::write(&[one("sum", fact.value, None), one("unique", 1, Some(mark))]).unwrap(),
        added: Vec::new(),
    }
}

/// By tenant, meter, hour and group: how many, their sum, the greatest, the last, and how many different ones.
type Recount = BTreeMap<(TenantId, String, i64, String), (i64, i64, i64, i64, usize)>;

/// Slowly, from the facts alone.
fn recount(tenants: &[TenantId], facts: &[Fact]) -> Recount {
    let mut out = Recount::new();
    let cells: BTreeSet<(usize, i64, u64)> = facts.iter().map(|f| (f.tenant, f.at / HOUR, f.group)).collect();
    for (tenant, hour, number) in cells {
        let mine: Vec<&Fact> =
            facts.iter().filter(|f| (f.tenant, f.at / HOUR, f.group) == (tenant, hour, number)).collect();
        let many = i64::try_from(mine.len()).unwrap();
        let values = || mine.iter().map(|f| f.value);
        let last = mine.iter().max_by_key(|f| f.at).unwrap().value;
        let different = values().collect::<BTreeSet<_>>().len();
        let key = |meter: &str| (tenants[tenant], meter.to_owned(), hour, group(number));
        out.insert(key("sum"), (many, values().sum(), values().max().unwrap(), last, 0));
        out.insert(key("unique"), (many, many, 1, 1, different));
    }
    out
}

/// What a question would find: the roll-ups that answer and what is not in them yet.
async fn found(db: &Db, tenants: &[TenantId]) -> Recount {
    let tenants = tenants.to_vec();
    db.read(move |conn| {
        let live = rollups::live_in(conn)?;
        let all = (ts(0), ts(NOW * 2));
        let mut tally = Tally::default();
        for tenant in tenants {
            for (cell, sum) in rollups::sums_in(conn, live.generation, tenant, None, all, i64::MAX)? {
                tally.put(cell, sum);
            }
            let unique = vec!["unique".to_owned()];
            tally.uniques.extend(rollups::uniques_in(conn, live.generation, tenant, unique, all, i64::MAX)?);
            for raw in rollups::tail_in(conn, live.place, tenant)? {
                tally.add(&raw)?;
            }
        }
        let different = |cell: &Cell| tally.uniques.iter().filter(|(of, _)| of == cell).count();
        let one = |(cell, sum): (&Cell, &rollups::Sum)| {
            let key = (cell.tenant, cell.meter.clone(), cell.hour.micros() / HOUR, cell.group.clone());
            (key, (sum.events, sum.total, sum.most, sum.last.2, different(cell)))
        };
        Ok(tally.cells.iter().map(one).collect())
    })
    .await
    .unwrap()
}

async fn ingest(db: &Db, rows: Vec<NewUsage>) -> Vec<bool> {
    db.write_held(move |conn| insert_in(conn, &rows.iter().collect::<Vec<_>>())).await.unwrap()
}

/// A transaction that writes these events and does not end before it is told to.
struct Slow {
    gate: Arc<(Mutex<bool>, Condvar)>,
    done: tokio::task::JoinHandle<Vec<bool>>,
}

impl Slow {
    async fn begin(db: &Db, rows: Vec<NewUsage>) -> Self {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let (inner, db) = (Arc::clone(&gate), db.clone());
        let (written, wrote) = tokio::sync::watch::channel(false);
        let done = tokio::spawn(async move {
            db.write_held(move |conn| {
                let fresh = insert_in(conn, &rows.iter().collect::<Vec<_>>())?;
                written.send_replace(true);
                let mut open = inner.0.lock().unwrap();
                while !*open {
                    open = inner.1.wait(open).unwrap();
                }
                Ok(fresh)
            })
            .await
            .unwrap()
        });
        let mut wrote = wrote;
        wrote.wait_for(|written| *written).await.unwrap();
        Self { gate, done }
    }

    async fn end(self) -> Vec<bool> {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
        self.done.await.unwrap()
    }
}

/// Everything at random, for so many turns; after each, what is found is what a recount says.
async fn story(db: Db, seed: u64, turns: usize) {
    let mut dice = Dice(seed);
    let tenants: Vec<TenantId> = (0..3).map(|_| TenantId::mint()).collect();
    let (mut facts, mut next, mut clock) = (Vec::<Fact>::new(), 0u64, NOW);
    let mut slow: Vec<(Slow, Vec<Fact>)> = Vec::new();
    for turn in 0..turns {
        clock += 60_000_000;
        match dice.roll(10) {
            0..=4 => {
                let many = dice.roll(30);
                // Those that are surely kept: others could come again as new, their window is over.
                let recent: Vec<Fact> =
                    facts.iter().filter(|f| f.received > clock - HOUR / 3).cloned().collect();
                let batch: Vec<Fact> = (0..many)
                    .map(|_| match recent.len() {
                        // Some come again, some of them twice in one call.
                        known if known > 0 && dice.roll(4) == 0 => {
                            recent[usize::try_from(dice.roll(u64::try_from(known).unwrap())).unwrap()].clone()
                        }
                        _ => {
                            next += 1;
                            // Up to five hours late; no two at the same moment.
                            let at = clock - dice.small(5) * HOUR + i64::try_from(next).unwrap();
                            let (tenant, value, group) =
                                (usize::try_from(dice.roll(3)).unwrap(), dice.small(9), dice.roll(3));
                            Fact { tenant, id: next, at, value, group, received: clock }
                        }
                    })
                    .collect();
                let rows = batch.iter().map(|fact| usage(&tenants, fact, clock)).collect::<Vec<_>>();
                let fresh_ids: BTreeSet<u64> =
                    facts.iter().chain(slow.iter().flat_map(|(_, facts)| facts)).map(|f| f.id).collect();
                let under_way = batch
                    .iter()
                    .any(|fact| slow.iter().any(|(_, held)| held.iter().any(|one| one.id == fact.id)));
                if db.engine() == tenantry::db::Engine::Postgres
                    && slow.len() < 2
                    && !under_way
                    && dice.roll(3) == 0
                {
                    let mut once = BTreeSet::new();
                    let new: Vec<Fact> = batch
                        .into_iter()
                        .filter(|f| !fresh_ids.contains(&f.id) && once.insert(f.id))
                        .collect();
                    let rows = new.iter().map(|fact| usage(&tenants, fact, clock)).collect();
                    slow.push((Slow::begin(&db, rows).await, new));
                } else {
                    let fresh = ingest(&db, rows).await;
                    let mut once = fresh_ids;
                    for (fact, fresh) in batch.into_iter().zip(fresh) {
                        assert_eq!(fresh, once.insert(fact.id), "turn {turn}: each once");
                        if fresh {
                            facts.push(fact);
                        }
                    }
                }
            }
            5 | 6 => {
                // Two replicas at once; whoever comes second does nothing.
                let step = 1 + dice.small(20);
                let (one, other) = tokio::join!(worker::follow(&db, step), worker::follow(&db, step));
                one.unwrap();
                other.unwrap();
            }
            7 => drop(worker::build(&db, 1 + dice.small(40)).await.unwrap()),
            8 if dice.roll(3) == 0 => worker::rebuild(&db, ts(clock)).await.unwrap(),
            8 => {
                if let Some((one, held)) = slow.pop() {
                    assert!(one.end().await.iter().all(|fresh| *fresh));
                    facts.extend(held);
                }
            }
            // Half an hour of single events is kept.
            _ => drop(worker::retain(&db, ts(clock - HOUR / 2)).await.unwrap()),
        }
        if turn % 5 == 0 {
            assert_eq!(found(&db, &tenants).await, recount(&tenants, &facts), "seed {seed}, turn {turn}");
        }
    }
    for (one, held) in slow {
        one.end().await;
        facts.extend(held);
    }
    worker::rebuild(&db, ts(clock)).await.unwrap();
    loop {
        let step = worker::follow(&db, 50).await.unwrap();
        if !step.more && !worker::build(&db, 50).await.unwrap() {
            break;
        }
    }
    assert_eq!(found(&db, &tenants).await, recount(&tenants, &facts), "seed {seed}, at the end");
    let left = db.read(rollups::live_in).await.unwrap();
    assert!(left.generation > 1, "it was built anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_ups_are_what_a_slow_recount_says_on_sqlite() {
    for seed in 0..6 {
        let folder = Folder::new();
        let db = Db::open(&folder.url("control.db"), &Options::default()).await.unwrap();
        db.migrate().await.unwrap();
        story(db, seed, 120).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_ups_are_what_a_slow_recount_says_on_postgres_with_slow_transactions_under_way() {
    let mut held: Vec<TestDatabase> = Vec::new();
    for (pg, seed) in Pg::each().iter().zip(100..) {
        let database = pg.fresh_database();
        let db = Db::open(&database.url, &Options::default()).await.unwrap();
        db.migrate().await.unwrap();
        story(db, seed, 150).await;
        held.push(database);
    }
}

/// What reads and does not get to write has done nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_cut_off_before_its_end_is_taken_again() {
    let folder = Folder::new();
    let db = Db::open(&folder.url("control.db"), &Options::default()).await.unwrap();
    db.migrate().await.unwrap();
    let tenants = [TenantId::mint()];
    let facts: Vec<Fact> = (0..40)
        .map(|at| Fact {
            tenant: 0,
            id: at,
            at: NOW + i64::try_from(at).unwrap(),
            value: 2,
            group: 0,
            received: NOW,
        })
        .collect();
    ingest(&db, facts.iter().map(|fact| usage(&tenants, fact, NOW)).collect()).await;
    // The whole of its transaction goes with it, the place included.
    let cut = db.write_held(|conn: &mut Conn| -> tenantry::kernel::error::Result<()> {
        let live = rollups::live_in(conn)?;
        assert_eq!(live.place.seq, 0);
        Err(tenantry::kernel::error::Error::internal("cut off"))
    });
    cut.await.unwrap_err();
    for _ in 0..10 {
        drop(tokio::time::timeout(std::time::Duration::from_micros(300), worker::follow(&db, 7)).await);
    }
    while worker::follow(&db, 7).await.unwrap().more {}
    assert_eq!(found(&db, &tenants).await, recount(&tenants, &facts));
}
