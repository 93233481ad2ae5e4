//! From the build to the drop: what is shown, inherited and ended.
use super::*;

#[tokio::test(start_paused = true)]
async fn keys_arrive_once() {
    let scene = Scene::new(Answer::Error).await;
    assert!(now_or_never(scene.keys.arrived()).is_none());
    scene.will(Answer::Keys(&["a"]));
    scene.ask("a").await.unwrap();
    scene.will(Answer::Error);
    scene.pass(2 * REFRESH).await;
    assert!(now_or_never(scene.keys.arrived()).is_some());
}

#[tokio::test(start_paused = true)]
async fn attempts_and_the_age_of_the_keys_are_measured() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.will(Answer::Error);
    assert!(scene.ask("b").await.is_err());
    scene.clock.advance(7 * SECOND);
    scene.keys.report_age();
    let text = scene.metrics.text().unwrap();
    for line in [
        r#"usher_jwks_fetches_total{issuer="https://issuer.test",outcome="ok"} 1"#,
        r#"usher_jwks_fetches_total{issuer="https://issuer.test",outcome="failed"} 1"#,
        r#"usher_jwks_age_seconds{issuer="https://issuer.test"} 7.0"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let status = scene.keys.status();
    assert_eq!((status.count, status.age), (1, Some(7 * SECOND)));
    assert!(status.usable && status.last_attempt_failed && !status.insecure_http);
}

#[tokio::test(start_paused = true)]
async fn keys_and_cooldown_are_inherited_where_the_same_issuer_is_believed_for_the_same_reason() {
    let old = Scene::new(Answer::Keys(&["a"])).await;
    old.ask("b").await.unwrap();
    let rebuilt = |change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        let metrics = Arc::clone(&old.metrics);
        let state = State::new(config.issuer.clone(), config.timing, old.clock.clone(), metrics);
        let source = Box::new(old.issuer.clone());
        join(config, state, source, Arc::new(CountedEntropy::default()))
    };
    let (new, _refresher) =
        rebuilt(|config| config.bearer = Some(crate::domain::secret::Secret::text("new")));
    assert!(new.inherit(&old.keys));
    assert!(new.held().unwrap().has("a"));
    assert!(new.state.progress().is_cooling(new.state.now()));
    assert!(now_or_never(new.arrived()).is_some());
    assert!(!new.inherit(&old.keys));
    for change in [
        (|config| config.issuer = "https://other.test".parse().unwrap()) as fn(&mut Config),
        |config| config.keys_at = KeysAt::Jwks("https://issuer.test/other".parse().unwrap()),
        |config| config.certificate_authority = Some(Box::default()),
        |config| config.insecure_http = true,
    ] {
        let (new, _refresher) = rebuilt(change);
        assert!(!new.inherit(&old.keys));
        assert!(new.held().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_when_the_keys_are_dropped() {
    let scene = Scene::new(Answer::Keys(&["a"])).await;
    let Scene { keys, mut tasks, .. } = scene;
    drop(keys);
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_answered_when_the_task_is_stopped() {
    let mut scene = Scene::new(Answer::Keys(&["a"])).await;
    scene.hold_up();
    let keys = Arc::clone(&scene.keys);
    let mut waiting = beside(async move { keys.refetched("b").await.map(drop) });
    settle().await;
    let began = Instant::now();
    scene.tasks.shutdown().await;
    assert!(waiting.join_next().await.unwrap().unwrap().is_err());
    assert!(scene.ask("c").await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(scene.keys.held().unwrap().has("a"));
}
