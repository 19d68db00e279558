use std::time::Duration;

use tokio::time::Instant;

use super::SchedulingQueue;

#[tokio::test(start_paused = true)]
async fn higher_priority_goes_first_then_arrival() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.add("b", 0);
    queue.add("c", 10);
    let order = [queue.next().await, queue.next().await, queue.next().await];
    assert_eq!(order, ["c", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_pod_waits_for_an_event() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.next().await;
    let since = Instant::now();
    queue.refused("a");
    queue.move_all();
    assert_eq!(queue.next().await, "a");
    assert_eq!(since.elapsed().as_secs(), 0, "nobody else is there to go first");
    queue.refused("a");
    queue.next().await;
    assert_eq!(since.elapsed().as_secs(), 300, "without an event only the safety net wakes it");
}

#[tokio::test(start_paused = true)]
async fn a_back_off_lets_others_go_first() {
    let queue = SchedulingQueue::default();
    queue.add("a", 100);
    queue.next().await;
    queue.refused("a");
    queue.add("b", 0);
    queue.move_all();
    assert_eq!([queue.next().await, queue.next().await], ["b", "a"]);
    queue.refused("a");
    queue.move_all();
    tokio::time::advance(Duration::from_secs(2)).await;
    queue.add("c", 0);
    assert_eq!([queue.next().await, queue.next().await], ["a", "c"], "its back-off is over");
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_after_its_back_off() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.next().await;
    for seconds in [1, 2, 4, 8, 10, 10] {
        let since = Instant::now();
        queue.failed("a");
        queue.move_all();
        queue.next().await;
        assert_eq!(since.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_during_the_decision_is_not_lost() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.next().await;
    queue.move_all();
    let since = Instant::now();
    queue.refused("a");
    queue.next().await;
    assert_eq!(since.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_removed_pod_does_not_come() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.add("b", 0);
    queue.remove("a");
    assert_eq!(queue.next().await, "b");
}

#[tokio::test(start_paused = true)]
async fn the_same_reason_is_told_once_in_a_while() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    assert!(queue.is_worth_telling("a", true));
    assert!(!queue.is_worth_telling("a", false));
    assert!(queue.is_worth_telling("a", true), "another reason");
    tokio::time::advance(Duration::from_secs(360)).await;
    assert!(queue.is_worth_telling("a", false));
}
