//! The budget's rules, with links that are only counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::pool::{Busy, Key, Link, Pool, Slot};
use crate::kernel::id::TenantId;

const LONG: Duration = Duration::from_secs(20);

/// A connection that exists as long as this does.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn open(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Link for Counted {
    async fn close(self) {
        tokio::task::yield_now().await;
    }
}

fn key(tenant: TenantId) -> Key {
    Key { tenant, generation: 1, role: "r".to_owned() }
}

async fn get(pool: &Arc<Pool<Counted>>, tenant: TenantId, alive: &Arc<AtomicUsize>) -> Slot<Counted> {
    let mut slot = pool.acquire(key(tenant), LONG).await.unwrap();
    if slot.link.is_none() {
        slot.clear().await;
        slot.link = Some(Counted::open(alive));
    }
    slot
}

#[tokio::test]
async fn whoever_runs_least_goes_first() {
    let alive = Arc::default();
    let pool = Pool::new("c", 3, 10);
    let (greedy, modest) = (TenantId::mint(), TenantId::mint());
    let first = get(&pool, greedy, &alive).await;
    let second = get(&pool, greedy, &alive).await;
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    let third = get(&pool, modest, &alive).await;
    for (tenant, name) in [(greedy, "greedy"), (greedy, "greedy"), (modest, "modest")] {
        let (waits, alive, order) = (Arc::clone(&pool), Arc::clone(&alive), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let slot = get(&waits, tenant, &alive).await;
            order.lock().push(name);
            slot.keep();
        }));
        while pool.counts().waiting < waiting.len() {
            tokio::task::yield_now().await;
        }
    }
    third.keep();
    for one in waiting.drain(2..) {
        one.await.unwrap();
    }
    first.keep();
    second.keep();
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!(*order.lock(), ["modest", "greedy", "greedy"]);
    assert!(pool.counts().open <= 3);
}

#[tokio::test]
async fn waiting_is_bounded_and_leaves_no_trace() {
    let alive = Arc::default();
    let pool = Pool::new("c", 1, 1);
    let tenant = TenantId::mint();
    let slot = get(&pool, tenant, &alive).await;
    assert_eq!(pool.acquire(key(tenant), Duration::from_millis(10)).await.err(), Some(Busy::Waited));
    assert_eq!(pool.counts().waiting, 0);
    drop(slot);
    get(&pool, tenant, &alive).await.keep();
    assert_eq!((pool.counts().open, pool.counts().idle), (1, 1));
    pool.prune(|_, _| true);
    while pool.counts().open > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_the_budget_holds_and_no_place_is_lost() {
    let alive: Arc<AtomicUsize> = Arc::default();
    let pool = Pool::new("c", 4, 2);
    let tenants: Vec<TenantId> = (0..9).map(|_| TenantId::mint()).collect();
    let mut tasks = Vec::new();
    for at in 0..2_000usize {
        let (pool, alive, tenant) = (Arc::clone(&pool), Arc::clone(&alive), tenants[at % 9]);
        tasks.push(tokio::spawn(async move {
            let wait = if at % 5 == 0 { Duration::from_micros(50) } else { LONG };
            let Ok(mut slot) = pool.acquire(key(tenant), wait).await else { return };
            if slot.link.is_none() {
                slot.clear().await;
                slot.link = Some(Counted::open(&alive));
            }
            assert!(alive.load(Ordering::SeqCst) <= 4);
            if at % 3 == 0 {
                tokio::task::yield_now().await;
            }
            match at % 7 {
                0 => drop(slot),
                1 => slot.clear().await,
                _ => slot.keep(),
            }
        }));
        if at % 11 == 0 {
            tasks[at / 2].abort();
        }
    }
    for task in tasks {
        if let Err(error) = task.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
    while pool.counts().open != pool.counts().idle {
        tokio::task::yield_now().await;
    }
    assert_eq!(alive.load(Ordering::SeqCst), pool.counts().idle);
    assert_eq!(pool.counts().waiting, 0);
    // Nobody is thought to be running: the whole share is there for each.
    let one = get(&pool, tenants[0], &alive).await;
    let two = get(&pool, tenants[0], &alive).await;
    assert_eq!(pool.acquire(key(tenants[0]), Duration::from_millis(5)).await.err(), Some(Busy::Waited));
    drop((one, two));
}
