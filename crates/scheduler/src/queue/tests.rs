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
async fn a_refused_pod_waits_for_an_event_and_its_back_off() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.next().await;
    let since = Instant::now();
    queue.refused("a");
    queue.move_all();
    assert_eq!(queue.next().await, "a");
    assert_eq!(since.elapsed().as_secs(), 1);
    queue.refused("a");
    queue.move_all();
    queue.next().await;
    assert_eq!(since.elapsed().as_secs(), 3, "the second back-off is two seconds");
    queue.refused("a");
    queue.next().await;
    assert_eq!(since.elapsed().as_secs(), 303, "without an event only the safety net wakes it");
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
    assert_eq!(since.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_removed_pod_does_not_come() {
    let queue = SchedulingQueue::default();
    queue.add("a", 0);
    queue.add("b", 0);
    queue.remove("a");
    assert_eq!(queue.next().await, "b");
}
