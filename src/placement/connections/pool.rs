//! A cluster's budget of connections, and who gets one next.
//!
//! Three bounds hold at once: the cluster's connections, each tenant's share of them, and the time
//! anyone waits. A free place goes to the waiter whose tenant has the fewest statements running, the
//! longest waiting first among equals: a tenant with a thousand waiters delays another's first by one
//! statement at most. When the budget is used up by idle connections, the one unused for longest makes
//! room.
//!
//! A [`Slot`] is the right to one connection. It counts until its connection is really gone, so that
//! the server never sees more than the budget.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::kernel::id::TenantId;

/// As many may wait for one cluster; the next is turned away at once.
const WAITERS: usize = 10_000;

/// Something that takes time to close.
pub(super) trait Link: Send + 'static {
    /// Stops what runs, and hangs up.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What a connection is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) tenant: TenantId,
    pub(super) generation: i64,
    pub(super) role: String,
}

/// Why there is no slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// The wait ran out.
    Waited,
    /// Too many wait already.
    Crowded,
}

struct Idle<L> {
    key: Key,
    link: L,
    since: Instant,
}

struct Waiter<L: Link> {
    key: Key,
    sender: oneshot::Sender<Slot<L>>,
}

struct State<L: Link> {
    /// Most connections at once.
    max: usize,
    /// Most of them for one tenant's statements.
    share: usize,
    /// Connections that exist, or for which a slot is held.
    open: usize,
    /// Unused for longest first.
    idle: VecDeque<Idle<L>>,
    running: HashMap<TenantId, usize>,
    /// Longest waiting first; none of them could be served when it was last looked at.
    waiters: VecDeque<Waiter<L>>,
}

/// The connections of one cluster.
pub(super) struct Pool<L: Link> {
    state: Mutex<State<L>>,
    cluster: Arc<str>,
}

/// Counts for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) max: usize,
    pub(super) open: usize,
    pub(super) idle: usize,
    pub(super) waiting: usize,
}

impl<L: Link> Pool<L> {
    pub(super) fn new(cluster: &str, max: usize, share: usize) -> Arc<Self> {
        let state = State {
            max: max.max(1),
            share: share.max(1),
            open: 0,
            idle: VecDeque::new(),
            running: HashMap::new(),
            waiters: VecDeque::new(),
        };
        Arc::new(Self { state: Mutex::new(state), cluster: cluster.into() })
    }

    /// Changes the bounds. What exceeds them now goes as it falls free.
    pub(super) fn resize(self: &Arc<Self>, max: usize, share: usize) {
        let surplus = {
            let mut state = self.state.lock();
            state.max = max.max(1);
            state.share = share.max(1);
            let over = state.open.saturating_sub(state.max).min(state.idle.len());
            state.idle.drain(..over).collect::<Vec<_>>()
        };
        self.discard(surplus);
        self.pump();
    }

    /// A slot, after waiting for at most `wait`. Whoever gives up loses the place in the queue.
    pub(super) async fn acquire(self: &Arc<Self>, key: Key, wait: Duration) -> Result<Slot<L>, Busy> {
        let receiver = {
            let mut state = self.state.lock();
            if let Some(parts) = state.grant(&key) {
                drop(state);
                return Ok(self.slot(key, parts));
            }
            if state.waiters.len() >= WAITERS {
                return Err(Busy::Crowded);
            }
            let (sender, receiver) = oneshot::channel();
            state.waiters.push_back(Waiter { key, sender });
            receiver
        };
        metrics::counter!("tenantry_connection_waits_total", "cluster" => self.cluster.to_string())
            .increment(1);
        match tokio::time::timeout(wait, receiver).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => {
                self.state.lock().waiters.retain(|waiter| !waiter.sender.is_closed());
                Err(Busy::Waited)
            }
        }
    }

    /// Closes idle connections: those for which `doomed` says so.
    pub(super) fn prune(self: &Arc<Self>, doomed: impl Fn(&Key, Duration) -> bool) {
        let now = Instant::now();
        let gone = {
            let mut state = self.state.lock();
            let all = std::mem::take(&mut state.idle);
            let (gone, kept): (VecDeque<_>, VecDeque<_>) = all
                .into_iter()
                .partition(|idle| doomed(&idle.key, now.saturating_duration_since(idle.since)));
            state.idle = kept;
            gone
        };
        self.discard(gone);
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts { max: state.max, open: state.open, idle: state.idle.len(), waiting: state.waiters.len() }
    }

    /// Closes links that still count as open.
    fn discard(self: &Arc<Self>, gone: impl IntoIterator<Item = Idle<L>>) {
        for idle in gone {
            let pool = Some(Arc::clone(self));
            drop(Slot { pool, key: idle.key, runs: false, link: Some(idle.link), evicted: None });
        }
    }

    fn slot(self: &Arc<Self>, key: Key, parts: Parts<L>) -> Slot<L> {
        Slot { pool: Some(Arc::clone(self)), key, runs: true, link: parts.reused, evicted: parts.evicted }
    }

    /// Serves as many waiters as there is room for.
    fn pump(self: &Arc<Self>) {
        loop {
            let (waiter, parts) = {
                let mut state = self.state.lock();
                state.waiters.retain(|waiter| !waiter.sender.is_closed());
                let Some(at) = state.next() else { return };
                let Some(waiter) = state.waiters.remove(at) else { return };
                let Some(parts) = state.grant(&waiter.key) else {
                    state.waiters.insert(at, waiter);
                    return;
                };
                (waiter, parts)
            };
            let slot = self.slot(waiter.key, parts);
            // A waiter may have left just now; then the slot goes back, and on to the next.
            if let Err(slot) = waiter.sender.send(slot) {
                slot.keep();
            }
        }
    }

    fn release(self: &Arc<Self>, key: &Key, ran: bool, kept: Option<L>) {
        let surplus = {
            let mut state = self.state.lock();
            if ran {
                state.end(key.tenant);
            }
            match kept {
                Some(link) => state.idle.push_back(Idle { key: key.clone(), link, since: Instant::now() }),
                None => state.open = state.open.saturating_sub(1),
            }
            if state.open > state.max { state.idle.pop_front() } else { None }
        };
        self.discard(surplus);
        self.pump();
    }
}

/// What a slot starts with.
struct Parts<L> {
    reused: Option<L>,
    evicted: Option<L>,
}

impl<L: Link> State<L> {
    fn running(&self, tenant: TenantId) -> usize {
        self.running.get(&tenant).copied().unwrap_or(0)
    }

    /// One tenant never holds the whole budget, unless the budget is a single connection.
    fn below_share(&self, tenant: TenantId) -> bool {
        let share = self.share.min(self.max.saturating_sub(1).max(1));
        self.running(tenant) < share
    }

    /// Takes a connection for `key`, if the bounds allow.
    fn grant(&mut self, key: &Key) -> Option<Parts<L>> {
        if !self.below_share(key.tenant) {
            return None;
        }
        // The one used last: it is the likeliest to be alive, and the others can fall idle.
        let parts = if let Some(at) = self.idle.iter().rposition(|idle| idle.key == *key) {
            Parts { reused: self.idle.remove(at).map(|idle| idle.link), evicted: None }
        } else if self.open < self.max {
            self.open = self.open.saturating_add(1);
            Parts { reused: None, evicted: None }
        } else {
            Parts { reused: None, evicted: Some(self.idle.pop_front()?.link) }
        };
        let running = self.running.entry(key.tenant).or_default();
        *running = running.saturating_add(1);
        Some(parts)
    }

    fn end(&mut self, tenant: TenantId) {
        let left = self.running(tenant).saturating_sub(1);
        if left == 0 {
            self.running.remove(&tenant);
        } else {
            self.running.insert(tenant, left);
        }
    }

    /// The waiter to be served next: of those whose tenant may run more, the one whose tenant runs least.
    fn next(&self) -> Option<usize> {
        if self.open >= self.max && self.idle.is_empty() {
            return None;
        }
        self.waiters
            .iter()
            .enumerate()
            .filter(|(_, waiter)| self.below_share(waiter.key.tenant))
            .min_by_key(|(_, waiter)| self.running(waiter.key.tenant))
            .map(|(at, _)| at)
    }
}

/// The right to one connection of a cluster, with the connection once there is one.
pub(super) struct Slot<L: Link> {
    /// `None` once the slot was handed back.
    pool: Option<Arc<Pool<L>>>,
    key: Key,
    /// Whether it counts against the tenant's share.
    runs: bool,
    pub(super) link: Option<L>,
    /// An idle connection that made room and is to be closed before another is opened.
    evicted: Option<L>,
}

impl<L: Link> Slot<L> {
    /// Closes what had to make room, and a connection that turned out to be dead.
    pub(super) async fn clear(&mut self) {
        for link in [self.evicted.take(), self.link.take()].into_iter().flatten() {
            link.close().await;
        }
    }

    /// Ends the use; the connection stays for the next who needs the same.
    pub(super) fn keep(mut self) {
        if self.link.is_some()
            && let Some(pool) = self.pool.take()
        {
            pool.release(&self.key, self.runs, self.link.take());
        }
    }
}

impl<L: Link> Drop for Slot<L> {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        let links: Vec<L> = [self.evicted.take(), self.link.take()].into_iter().flatten().collect();
        let (key, runs) = (self.key.clone(), self.runs);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !links.is_empty() => {
                runtime.spawn(async move {
                    for link in links {
                        link.close().await;
                    }
                    pool.release(&key, runs, None);
                });
            }
            _ => pool.release(&key, runs, None),
        }
    }
}
