use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{BACKOFF_MAX, Queue, backoff};
use crate::metrics::Metrics;

const NO_GAP: Duration = Duration::ZERO;

fn queue() -> Queue<u32> {
    Queue::new(Metrics::new().queue("test"))
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

async fn is_silent_for(queue: &Queue<u32>, duration: Duration) -> bool {
    tokio::time::timeout(duration, queue.get()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn keys_come_out_in_the_order_they_went_in() {
    let queue = queue();
    (0..50).for_each(|key| queue.add(key));
    for key in 0..50 {
        assert_eq!(queue.get().await, Some(key));
    }
}

#[tokio::test(start_paused = true)]
async fn adds_of_a_waiting_key_are_one_pass() {
    let queue = queue();
    (0..10).for_each(|_| queue.add(1));
    assert_eq!(queue.get().await, Some(1));
    queue.done(&1, NO_GAP);
    assert!(is_silent_for(&queue, millis(1000)).await);
}

#[tokio::test(start_paused = true)]
async fn adds_during_a_pass_are_one_more_pass_after_it() {
    let queue = queue();
    queue.add(1);
    assert_eq!(queue.get().await, Some(1));
    (0..10).for_each(|_| queue.add(1));
    assert!(
        is_silent_for(&queue, millis(1000)).await,
        "a second worker got a running key"
    );
    queue.done(&1, NO_GAP);
    assert_eq!(queue.get().await, Some(1));
    queue.done(&1, NO_GAP);
    assert!(is_silent_for(&queue, millis(1000)).await);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_keys_that_add_themselves_run_equally_often() {
    for workers in [1, 4, 8] {
        let queue = Arc::new(queue());
        (0..100).for_each(|key| queue.add(key));
        let runs = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let (queue, runs) = (Arc::clone(&queue), Arc::clone(&runs));
            tasks.spawn(async move {
                while let Some(key) = queue.get().await {
                    let total = {
                        let mut runs = runs.lock();
                        *runs.entry(key).or_default() += 1;
                        runs.values().sum::<u32>()
                    };
                    queue.add(key);
                    tokio::task::yield_now().await;
                    queue.done(&key, NO_GAP);
                    if total >= 3000 {
                        queue.close();
                    }
                }
            });
        }
        tasks.join_all().await;
        let runs = runs.lock();
        assert_eq!(runs.len(), 100);
        // A key slips behind those that run beside it: `workers` places in each of 30 rounds.
        assert!(
            runs.values().all(|n| (27..=33).contains(n)),
            "{workers} workers: {runs:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_key_is_lost_and_none_runs_twice_at_once() {
    let queue = Arc::new(queue());
    let wanted = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let seen = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let holders = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (queue, wanted) = (Arc::clone(&queue), Arc::clone(&wanted));
        let (seen, holders) = (Arc::clone(&seen), Arc::clone(&holders));
        workers.spawn(async move {
            while let Some(key) = queue.get().await {
                let now = {
                    let mut holders = holders.lock();
                    let n = holders.entry(key).or_default();
                    *n += 1;
                    *n
                };
                assert_eq!(now, 1, "two workers on key {key}");
                // A pass sees everything that was wanted before it began.
                let version = wanted.lock().get(&key).copied().unwrap_or(0);
                tokio::task::yield_now().await;
                seen.lock().insert(key, version);
                *holders.lock().entry(key).or_default() -= 1;
                queue.done(&key, NO_GAP);
            }
        });
    }
    let mut producers = tokio::task::JoinSet::new();
    for producer in 0..4u32 {
        let (queue, wanted) = (Arc::clone(&queue), Arc::clone(&wanted));
        producers.spawn(async move {
            for step in 0..5000u32 {
                let key = (step * 7 + producer) % 13;
                *wanted.lock().entry(key).or_default() += 1;
                if step % 5 == 0 {
                    queue.add_after(key, Duration::from_micros(u64::from(step % 50)));
                } else {
                    queue.add(key);
                }
                if step % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    producers.join_all().await;
    let settled = async {
        while *wanted.lock() != *seen.lock() {
            tokio::task::yield_now().await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(20), settled).await;
    assert!(outcome.is_ok(), "a wake-up was lost");
    queue.close();
    workers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn the_earliest_timer_wins() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after(1, millis(500));
    queue.add_after(1, millis(100));
    queue.add_after(1, millis(900));
    assert_eq!(queue.get().await, Some(1));
    assert_eq!(start.elapsed(), millis(100));
    queue.done(&1, NO_GAP);
    assert!(
        is_silent_for(&queue, millis(5000)).await,
        "an outdated timer fired"
    );
}

#[tokio::test(start_paused = true)]
async fn an_add_leaves_the_timer_alone() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after(1, millis(500));
    queue.add(1);
    assert_eq!(queue.get().await, Some(1));
    queue.done(&1, NO_GAP);
    assert_eq!(queue.get().await, Some(1));
    assert_eq!(start.elapsed(), millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_worker_takes_over_the_timers_of_a_busy_one() {
    let queue = Arc::new(queue());
    queue.add_after(1, millis(5000));
    let (first, second) = (Arc::clone(&queue), Arc::clone(&queue));
    // Both sleep until 5 s; then an add wakes one of them, which stays busy with key 2.
    let first = tokio::spawn(async move { first.get().await });
    let second = tokio::spawn(async move { second.get().await });
    tokio::time::sleep(millis(10)).await;
    let start = Instant::now();
    queue.add_after(3, millis(100));
    queue.add(2);
    let mut keys = vec![first.await.ok().flatten(), second.await.ok().flatten()];
    keys.sort_unstable();
    assert_eq!(keys, [Some(2), Some(3)]);
    assert_eq!(start.elapsed(), millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_backs_off_twice_as_long_until_forgotten() {
    let queue = queue();
    for expected in [5, 10, 20, 40] {
        let start = Instant::now();
        assert_eq!(queue.add_failed(1), millis(expected));
        assert_eq!(queue.get().await, Some(1));
        assert_eq!(start.elapsed(), millis(expected));
        queue.done(&1, NO_GAP);
    }
    assert_eq!(queue.add_failed(2), millis(5), "back-off is per key");
    queue.forget(&1);
    assert_eq!(queue.add_failed(1), millis(5));
    assert_eq!(backoff(13), millis(40_960));
    assert_eq!(backoff(14), BACKOFF_MAX);
    assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_burst_after_a_pass_waits_for_the_gap_and_is_one_pass() {
    let queue = queue();
    queue.add(1);
    assert_eq!(queue.get().await, Some(1));
    let start = Instant::now();
    queue.done(&1, millis(200));
    for _ in 0..10 {
        queue.add(1);
        tokio::time::advance(millis(5)).await;
    }
    queue.add(2);
    assert_eq!(queue.get().await, Some(2), "the gap is the key's own");
    assert_eq!(queue.get().await, Some(1));
    assert_eq!(start.elapsed(), millis(200));
    queue.done(&1, millis(200));
    assert!(is_silent_for(&queue, millis(5000)).await);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_became_dirty_while_running_waits_for_the_gap_too() {
    let queue = queue();
    queue.add(1);
    assert_eq!(queue.get().await, Some(1));
    queue.add(1);
    let start = Instant::now();
    queue.done(&1, millis(200));
    assert_eq!(queue.get().await, Some(1));
    assert_eq!(start.elapsed(), millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_timer_within_the_gap_waits_for_its_end() {
    let queue = queue();
    queue.add(1);
    assert_eq!(queue.get().await, Some(1));
    let start = Instant::now();
    queue.done(&1, millis(200));
    queue.add_failed(1);
    assert_eq!(queue.get().await, Some(1));
    assert_eq!(start.elapsed(), millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_hands_out_nothing_and_wakes_its_workers() {
    let queue = Arc::new(queue());
    let sleeper = Arc::clone(&queue);
    let sleeper = tokio::spawn(async move { sleeper.get().await });
    queue.add_after(1, millis(100));
    tokio::task::yield_now().await;
    queue.close();
    assert_eq!(sleeper.await.ok(), Some(None));
    queue.add(2);
    assert_eq!(queue.get().await, None);
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_age_is_that_of_the_next_key() {
    let queue = queue();
    assert_eq!(queue.oldest_age(), None);
    queue.add(1);
    tokio::time::advance(millis(300)).await;
    queue.add(2);
    assert_eq!(
        (queue.len(), queue.depth(), queue.oldest_age()),
        (2, 2, Some(millis(300)))
    );
    assert_eq!(queue.get().await, Some(1));
    assert_eq!(
        (queue.depth(), queue.running(), queue.oldest_age()),
        (1, 1, Some(NO_GAP))
    );
}
