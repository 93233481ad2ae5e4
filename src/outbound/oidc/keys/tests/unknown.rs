//! Kids that the issuer is not known to have, alone and in storms.
use super::*;

#[tokio::test(start_paused = true)]
async fn p1_a_storm_of_unknown_kids_causes_one_fetch_a_cooldown() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    for round in 1..4 {
        for answer in scene.storm(1000).await {
            // 401 `unknown_key`: the issuer was asked and does not have it.
            assert!(answer.unwrap().has("a"));
        }
        assert_eq!(scene.asked(), 1 + round);
        scene.pass(NEARLY_COOLDOWN).await;
        scene.storm(1000).await;
        assert_eq!(scene.asked(), 1 + round);
        scene.pass(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p1_the_storm_causes_no_more_fetches_where_every_one_fails() {
    for failing in [Answer::Error, Answer::NoKeys, Answer::Down, Answer::Silent] {
        let scene = Scene::new(Answer::Keys(&["a"])).await;
        scene.will(failing);
        for round in 1..4 {
            for answer in scene.storm(1000).await {
                // 503: nobody can tell.
                assert!(answer.is_err(), "{failing:?}");
            }
            assert_eq!(scene.asked(), 1 + round, "{failing:?}");
            scene.pass(NEARLY_COOLDOWN).await;
            scene.storm(1000).await;
            assert_eq!(scene.asked(), 1 + round, "{failing:?}");
            assert!(scene.keys.held().unwrap().has("a"), "{failing:?}");
            scene.pass(SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p1_before_the_first_keys_a_storm_causes_one_fetch_a_cooldown_too() {
    let scene = Scene::new(Answer::Error).await;
    for round in 1..4 {
        assert!(scene.storm(1000).await.iter().all(Result::is_err));
        assert_eq!(scene.asked(), 1 + round);
        scene.pass(NEARLY_COOLDOWN).await;
        assert!(scene.storm(1000).await.iter().all(Result::is_err));
        assert_eq!(scene.asked(), 1 + round);
        // At the end of the cooldown the next storm asks, and the schedule does not ask as well.
        scene.pass(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p1_tokens_without_a_kid_cause_no_fetch() {
    let scene = Scene::new(Answer::Error).await;
    for _ in 0..1000 {
        assert!(scene.keys.first().await.is_err());
    }
    assert_eq!(scene.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn p1_known_keys_are_served_at_once_while_a_fetch_hangs() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.will(Answer::Silent);
    let keys = Arc::clone(&scene.keys);
    let mut waiting = beside(async move { keys.refetched("b").await.map(drop) });
    assert!(waiting.try_join_next().is_none());
    settle().await;
    assert_eq!(scene.asked(), 2);
    // Neither of these gives up its turn once.
    assert!(scene.keys.held().unwrap().has("a"));
    assert!(now_or_never(scene.ask("a")).unwrap().unwrap().has("a"));
    assert!(now_or_never(scene.keys.first()).unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn p1_a_key_published_during_a_storm_is_accepted_when_the_cooldown_ends() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.storm(1000).await;
    scene.will(Answer::Keys(&["a", "new"]));
    scene.pass(NEARLY_COOLDOWN).await;
    scene.storm(1000).await;
    assert!(!scene.ask("new").await.unwrap().has("new"));
    scene.pass(SECOND).await;
    // Whichever kid comes first makes the attempt that brings it.
    scene.storm(1000).await;
    assert!(scene.keys.held().unwrap().has("new"));
    assert_eq!(scene.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kid_waits_for_one_fetch_and_is_found() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.will(Answer::Keys(&["b"]));
    assert!(scene.ask("b").await.unwrap().has("b"));
    assert_eq!(scene.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kid_that_the_issuer_does_not_have_is_answered_at_once_within_the_cooldown() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.ask("b").await.unwrap();
    // The issuer would not answer any more.
    scene.hold_up();
    let answer = now_or_never(scene.ask("c")).unwrap();
    assert!(answer.unwrap().has("a"));
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_attempt_an_unknown_kid_is_told_when_the_cooldown_ends() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.will(Answer::Error);
    assert_eq!(seconds(scene.ask("b").await), 30);
    scene.pass(10 * SECOND).await;
    assert_eq!(seconds(now_or_never(scene.ask("b")).unwrap()), 20);
    assert_eq!(scene.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn start_and_scheduled_refreshes_do_not_start_the_cooldown() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.will(Answer::Keys(&["a", "b"]));
    assert!(scene.ask("b").await.unwrap().has("b"));
    scene.pass(REFRESH).await;
    assert_eq!(scene.asked(), 3);
    scene.will(Answer::Keys(&["a", "b", "c"]));
    assert!(scene.ask("c").await.unwrap().has("c"));
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_refresh_under_way_answers_an_unknown_kid_as_well() {
    let (mut scene, refresher) = Scene::before_start(Answer::Keys(&["a"]));
    scene.tasks.spawn(refresher.run());
    settle().await;
    scene.hold_up();
    scene.pass(REFRESH).await;
    assert_eq!(scene.asked(), 2);
    let keys = Arc::clone(&scene.keys);
    let mut waiting = beside(async move { keys.refetched("b").await.map(drop) });
    settle().await;
    assert!(waiting.try_join_next().is_none());
    scene.let_through();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(scene.asked(), 2);
    // Now it is known to be absent, and asking again costs nothing.
    assert!(now_or_never(scene.ask("b")).unwrap().is_ok());
    assert_eq!(scene.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_does_not_cancel_the_fetch() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.hold_up();
    assert!(now_or_never(scene.ask("b")).is_none());
    settle().await;
    scene.will(Answer::Keys(&["b"]));
    scene.let_through();
    settle().await;
    assert!(scene.keys.held().unwrap().has("b"));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_fetch_timeout() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.hold_up();
    let began = Instant::now();
    assert!(scene.ask("b").await.is_err());
    assert_eq!(began.elapsed(), TIMEOUT);
}
