use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Closed, Sender, channel};
use crate::Supervisor;

#[tokio::test]
async fn waiters_wake_in_the_order_in_which_they_came() {
    let (sender, supervisor, woken) = (Sender::new(0), Supervisor::new(), Arc::<Mutex<Vec<usize>>>::default());
    for waiter in 0..32 {
        let (mut receiver, woken) = (sender.subscribe(), woken.clone());
        supervisor.spawn("waiter", async move {
            drop(receiver.wait_for(|value| *value > 0).await.expect("the sender lives"));
            woken.lock().push(waiter);
        });
    }
    tokio::task::yield_now().await;
    sender.send_replace(1);
    assert_eq!(supervisor.drain(Duration::from_secs(1)).await, Ok(()));
    assert_eq!(*woken.lock(), (0..32).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_receiver_sees_each_change_once_and_only_the_latest() {
    let (sender, mut receiver) = channel("a");
    assert!(tokio::time::timeout(Duration::ZERO, receiver.changed()).await.is_err());
    sender.send_replace("b");
    sender.send_replace("c");
    receiver.changed().await.expect("changed");
    assert_eq!(*receiver.borrow(), "c");
    assert!(!sender.send_if_modified(|_| false));
    assert!(tokio::time::timeout(Duration::ZERO, receiver.changed()).await.is_err());
    assert!(sender.send_if_modified(|value| std::mem::replace(value, "d") == "c"));
    assert_eq!(*receiver.borrow_and_update(), "d");
    assert!(tokio::time::timeout(Duration::ZERO, receiver.changed()).await.is_err());
}

#[tokio::test]
async fn the_last_value_is_seen_before_the_end() {
    let (sender, mut receiver) = channel(0);
    let mut late = receiver.clone();
    let other = sender.clone();
    drop(sender);
    assert!(tokio::time::timeout(Duration::ZERO, receiver.changed()).await.is_err(), "one sender is left");
    other.send_replace(7);
    drop(other);
    assert_eq!(*receiver.wait_for(|value| *value == 7).await.expect("was sent"), 7);
    assert_eq!(receiver.changed().await, Err(Closed));
    assert_eq!(late.changed().await, Ok(()));
    assert!(late.wait_for(|value| *value == 8).await.is_err());
}
