use std::time::Duration;

use super::Supervisor;

#[tokio::test]
async fn a_panic_ends_its_task_only() {
    let supervisor = Supervisor::new();
    let bad = supervisor.spawn("bad", async { panic!("on purpose") });
    let good = supervisor.spawn("good", async { 7 });
    assert!(bad.join().await.is_none());
    assert_eq!(good.join().await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_tasks_and_reports_the_ones_that_stay() {
    let supervisor = Supervisor::new();
    let shutdown = supervisor.shutdown();
    supervisor.spawn("polite", async move { shutdown.requested().await });
    assert_eq!(supervisor.drain(Duration::from_secs(1)).await, Ok(()));

    let supervisor = Supervisor::new();
    supervisor.spawn("stubborn", std::future::pending::<()>());
    assert_eq!(supervisor.drain(Duration::from_secs(1)).await, Err(vec!["stubborn".into()]));
}

#[tokio::test]
async fn a_child_ends_with_its_parent_and_not_the_other_way_round() {
    let parent = Supervisor::new();
    let child = parent.child();
    child.begin_shutdown();
    assert!(!parent.shutdown().is_requested());
    let other = parent.child();
    parent.begin_shutdown();
    assert!(other.shutdown().is_requested());
}

#[tokio::test]
async fn inline_blocking_work_is_done_here_and_its_panic_ends_only_it() {
    let here = std::thread::current().id();
    let supervisor = Supervisor::inline().child();
    assert_eq!(supervisor.blocking(|| std::thread::current().id()).await, Some(here));
    assert_eq!(supervisor.blocking(|| -> u8 { panic!("on purpose") }).await, None);
    assert_ne!(Supervisor::new().blocking(|| std::thread::current().id()).await, Some(here));
}
