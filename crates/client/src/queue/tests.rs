use std::time::Duration;

use tokio::time::Instant;

use super::WorkQueue;

#[tokio::test]
async fn a_key_waits_once_and_is_never_worked_on_twice_at_once() {
    let queue = WorkQueue::new();
    queue.add("a");
    queue.add("a");
    queue.add("b");
    assert_eq!(queue.next().await.as_deref(), Some("a"));
    queue.add("a");
    assert_eq!(queue.next().await.as_deref(), Some("b"));
    assert!(queue.is_empty(), "a is being worked on and must not be handed out");
    queue.done("a");
    assert_eq!(queue.next().await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn failures_double_the_wait_until_forgotten() {
    let queue = WorkQueue::new();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let since = Instant::now();
        queue.add_rate_limited("a");
        queue.next().await;
        queue.done("a");
        waits.push(since.elapsed().as_millis());
    }
    assert_eq!(waits, [5, 10, 20, 40]);
    queue.forget("a");
    assert_eq!(queue.failures("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_delays_wins() {
    let queue = WorkQueue::new();
    let since = Instant::now();
    queue.add_after("a", Duration::from_secs(9));
    queue.add_after("a", Duration::from_secs(3));
    queue.add_after("a", Duration::from_secs(5));
    queue.next().await;
    queue.done("a");
    assert_eq!(since.elapsed().as_secs(), 3);
    queue.close();
    assert_eq!(queue.next().await, None);
}
