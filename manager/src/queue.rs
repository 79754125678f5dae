//! The work queue: every key in turn, never two workers on one key, bursts folded into one pass.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::metrics::QueueMetrics;

#[cfg(test)]
mod tests;

/// The first pause after a failure of a key; it doubles with each further failure.
pub const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// The longest pause between two tries of a failing key.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// A first-in first-out work queue with the semantics of client-go's, plus a minimum gap between
/// two passes of one key.
///
/// - A key that waits already is not added twice; a key that is being worked on waits until
///   [`done`](Self::done).
/// - A delayed key keeps its earliest deadline. A plain [`add`](Self::add) leaves the timer alone,
///   so the key comes a second time when the timer fires.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    metrics: QueueMetrics,
}

#[derive(Debug)]
struct State<K> {
    /// Keys that may be handed out now, oldest first. All of them are dirty and not running.
    fifo: VecDeque<K>,
    /// Keys that want a pass, and since when.
    dirty: HashMap<K, Instant>,
    /// Keys that a worker holds, and since when.
    running: HashMap<K, Instant>,
    /// When a key asked to be added by timer; the heap may hold outdated entries for it.
    timers: HashMap<K, Instant>,
    /// Keys that finished a moment ago and may not be handed out before.
    resting: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
    heap: BinaryHeap<Reverse<Due<K>>>,
    sequence: u64,
    is_closed: bool,
}

/// A heap entry; ordered by time, then by age, never by key.
#[derive(Debug)]
struct Due<K> {
    at: Instant,
    sequence: u64,
    key: K,
}

impl<K> PartialEq for Due<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}
impl<K> Eq for Due<K> {}
impl<K> PartialOrd for Due<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Due<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty, open queue that reports to `metrics`.
    pub fn new(metrics: QueueMetrics) -> Self {
        let state = State {
            fifo: VecDeque::new(),
            dirty: HashMap::new(),
            running: HashMap::new(),
            timers: HashMap::new(),
            resting: HashMap::new(),
            failures: HashMap::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            metrics,
        }
    }

    /// Asks for a pass over `key` as soon as its turn comes.
    pub fn add(&self, key: K) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        self.mark_dirty(&mut state, key, Instant::now());
        self.publish(&state);
    }

    /// Asks for a pass over `key` after `delay`, or sooner if an earlier timer is set already.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        let at = Instant::now() + delay;
        if state.timers.get(&key).is_some_and(|earlier| *earlier <= at) {
            return;
        }
        state.timers.insert(key.clone(), at);
        state.push_due(at, key);
        // A sleeping worker may have to wake up earlier than it planned.
        self.wake.notify_one();
    }

    /// Asks for another try after a failure; returns the delay, which doubles with every failure.
    pub fn add_failed(&self, key: K) -> Duration {
        let delay = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            let delay = backoff(*failures);
            *failures = failures.saturating_add(1);
            delay
        };
        self.metrics.retries.inc();
        self.add_after(key, delay);
        delay
    }

    /// Forgets the failures of `key`: the next one starts with the shortest delay again.
    pub fn forget(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// Waits for the next key; `None` once the queue is closed. Every key handed out must come
    /// back through [`done`](Self::done).
    pub async fn get(&self) -> Option<K> {
        loop {
            let notified = self.wake.notified();
            tokio::pin!(notified);
            // Registered before looking, so an add between the look and the sleep is not lost.
            notified.as_mut().enable();
            let deadline = {
                let mut state = self.state.lock();
                if state.is_closed {
                    return None;
                }
                let now = Instant::now();
                self.fire_timers(&mut state, now);
                if let Some(key) = self.take(&mut state, now) {
                    return Some(key);
                }
                self.publish(&state);
                state.heap.peek().map(|Reverse(due)| due.at)
            };
            match deadline {
                Some(at) => tokio::select! {
                    () = &mut notified => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => notified.await,
            }
        }
    }

    /// Returns `key` after a pass. Whatever asked for it meanwhile gets its pass, but not before
    /// `min_gap` is over: a burst of events during and after a pass costs one more pass.
    pub fn done(&self, key: &K, min_gap: Duration) {
        let mut state = self.state.lock();
        let Some(since) = state.running.remove(key) else {
            return;
        };
        let now = Instant::now();
        self.metrics
            .work_duration
            .observe((now - since).as_secs_f64());
        if !min_gap.is_zero() {
            let until = now + min_gap;
            state.resting.insert(key.clone(), until);
            state.push_due(until, key.clone());
            self.wake.notify_one();
        } else if state.dirty.contains_key(key) {
            state.fifo.push_back(key.clone());
            self.wake.notify_one();
        }
        self.publish(&state);
    }

    /// Hands out no further key. Workers finish the keys they hold.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_waiters();
    }

    /// How many keys want a pass, those that rest or run included.
    pub fn len(&self) -> usize {
        self.state.lock().dirty.len()
    }

    /// Whether no key wants a pass.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys could be handed out this moment.
    pub fn depth(&self) -> usize {
        self.state.lock().fifo.len()
    }

    /// How many keys are being worked on.
    pub fn running(&self) -> usize {
        self.state.lock().running.len()
    }

    /// How long the next key has been waiting.
    pub fn oldest_age(&self) -> Option<Duration> {
        let state = self.state.lock();
        let since = state.fifo.front().and_then(|key| state.dirty.get(key))?;
        Some(Instant::now() - *since)
    }

    fn mark_dirty(&self, state: &mut State<K>, key: K, now: Instant) {
        if state.dirty.contains_key(&key) {
            return;
        }
        self.metrics.adds.inc();
        state.dirty.insert(key.clone(), now);
        // A running key waits for `done`, a resting one for its timer; both find it dirty.
        if !state.running.contains_key(&key) && !state.resting.contains_key(&key) {
            state.fifo.push_back(key);
            self.wake.notify_one();
        }
    }

    fn fire_timers(&self, state: &mut State<K>, now: Instant) {
        while state.heap.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(Due { at, key, .. })) = state.heap.pop() else {
                return;
            };
            if state.resting.get(&key) == Some(&at) {
                state.resting.remove(&key);
                if state.dirty.contains_key(&key) {
                    state.fifo.push_back(key.clone());
                }
            }
            if state.timers.get(&key) == Some(&at) {
                state.timers.remove(&key);
                self.mark_dirty(state, key, now);
            }
        }
    }

    fn take(&self, state: &mut State<K>, now: Instant) -> Option<K> {
        let key = state.fifo.pop_front()?;
        if let Some(since) = state.dirty.remove(&key) {
            self.metrics
                .queue_duration
                .observe((now - since).as_secs_f64());
        }
        state.running.insert(key.clone(), now);
        // This worker is busy from now on: another one must watch the rest and the timers.
        if !state.fifo.is_empty() || !state.heap.is_empty() {
            self.wake.notify_one();
        }
        self.publish(state);
        Some(key)
    }

    fn publish(&self, state: &State<K>) {
        self.metrics
            .depth
            .set(i64::try_from(state.fifo.len()).unwrap_or(i64::MAX));
    }
}

impl<K> State<K> {
    fn push_due(&mut self, at: Instant, key: K) {
        self.sequence += 1;
        self.heap.push(Reverse(Due {
            at,
            sequence: self.sequence,
            key,
        }));
    }
}

fn backoff(failures: u32) -> Duration {
    // 5 ms doubled 14 times is past the cap; the shift must not overflow on the way.
    BACKOFF_MIN
        .saturating_mul(1 << failures.min(20))
        .min(BACKOFF_MAX)
}
