//! Issuers that are down, early, late and for good.
use super::*;

#[tokio::test(start_paused = true)]
async fn p2_a_key_removed_at_the_issuer_is_gone_within_the_refresh_interval() {
    let scene = Scene::new(Answer::Keys(&["a", "b"])).await;
    scene.will(Answer::Keys(&["b"]));
    scene.pass(REFRESH).await;
    let keys = scene.keys.held().unwrap();
    assert!(!keys.has("a") && keys.has("b"));
}

#[tokio::test(start_paused = true)]
async fn p2_a_failed_refresh_never_empties_the_set() {
    for failing in [Answer::Error, Answer::NoKeys, Answer::Down, Answer::Silent] {
        let scene = Scene::new(Answer::Keys(&["a"])).await;
        scene.will(failing);
        scene.pass(3 * REFRESH).await;
        assert!(scene.asked() > 3, "{failing:?}");
        assert!(scene.keys.held().unwrap().has("a"), "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p2_keys_older_than_max_stale_are_unavailable_and_not_unknown() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.will(Answer::Down);
    scene.clock.advance(MAX_STALE);
    assert!(scene.keys.held().unwrap().has("a"));
    scene.clock.advance(SECOND);
    let unavailable = scene.keys.held().unwrap_err();
    assert!(unavailable.retry_after >= SECOND);
    assert!(scene.ask("a").await.is_err());
    assert!(scene.keys.first().await.is_err());
    let status = scene.keys.status();
    assert!(status.age.is_some() && !status.usable && status.last_attempt_failed);
}

#[tokio::test(start_paused = true)]
async fn p2_every_success_counts_towards_max_stale_anew() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.clock.advance(MAX_STALE);
    scene.ask("b").await.unwrap();
    scene.clock.advance(MAX_STALE);
    assert!(scene.keys.held().is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_too_old_are_fetched_for_whoever_needs_them() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.clock.advance(MAX_STALE + SECOND);
    assert!(scene.ask("a").await.unwrap().has("a"));
}

#[tokio::test(start_paused = true)]
async fn p3_without_a_first_success_there_is_no_key_at_all() {
    for failing in [Answer::Error, Answer::NoKeys, Answer::Down, Answer::Silent] {
        let (mut scene, refresher) = Scene::before_start(failing);
        scene.tasks.spawn(refresher.run());
        scene.pass(3 * REFRESH).await;
        assert!(scene.keys.held().is_err(), "{failing:?}");
        assert!(scene.keys.first().await.is_err(), "{failing:?}");
        assert!(scene.ask("a").await.is_err(), "{failing:?}");
        assert!(scene.keys.status().age.is_none(), "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_first_keys_callers_wait_for_the_fetch_under_way() {
    let (mut scene, refresher) = Scene::before_start(Answer::Keys(&["a"]));
    scene.hold_up();
    let keys = Arc::clone(&scene.keys);
    let mut callers = beside(async move { keys.first().await.map(drop) });
    let keys = Arc::clone(&scene.keys);
    callers.spawn(async move { keys.refetched("a").await.map(drop) });
    settle().await;
    // Even before the task has begun.
    scene.tasks.spawn(refresher.run());
    settle().await;
    assert!(callers.try_join_next().is_none());
    scene.let_through();
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(scene.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_keys_nobody_waits_longer_than_the_fetch_timeout() {
    let (mut scene, refresher) = Scene::before_start(Answer::Silent);
    scene.tasks.spawn(refresher.run());
    let began = Instant::now();
    assert!(scene.keys.first().await.is_err());
    assert_eq!(began.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn p15_an_issuer_that_comes_up_late_is_found_without_a_restart() {
    let scene = Scene::new(Answer::Down).await;
    scene.pass(10 * SECOND).await;
    scene.will(Answer::Keys(&["a"]));
    scene.pass(9 * SECOND).await;
    scene.keys.arrived().await;
    assert!(scene.keys.held().unwrap().has("a"));
}

#[tokio::test(start_paused = true)]
async fn p15_a_request_finds_an_issuer_that_has_recovered_before_the_schedule_does() {
    let scene = Scene::new(Answer::Error).await;
    scene.will(Answer::Keys(&["a"]));
    assert!(scene.ask("a").await.unwrap().has("a"));
}
