use super::*;

fn request(project: &str, key: usize) -> RequestKey {
    RequestKey { project: project.into(), caller: "key:ak_1".into(), key: key.to_string() }
}

fn answer() -> Response {
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], "{}").into_response()
}

fn first(store: &Arc<IdempotencyStore>, key: RequestKey, now: Instant) -> Running {
    match store.start(key, [1; 32], now) {
        Ok(Start::First(running)) => running,
        other => panic!("the first one: {other:?}"),
    }
}

fn status(store: &Arc<IdempotencyStore>, key: RequestKey, now: Instant) -> StatusCode {
    store.start(key, [1; 32], now).expect_err("refused").status
}

#[tokio::test]
async fn answer_of_a_success_is_sent_again_until_it_is_old() {
    let (store, now) = (Arc::<IdempotencyStore>::default(), Instant::now());
    let running = first(&store, request("p", 1), now);
    assert_eq!(status(&store, request("p", 1), now), StatusCode::CONFLICT, "it runs");
    running.finish(answer()).await;
    assert!(matches!(store.start(request("p", 1), [1; 32], now), Ok(Start::Again(_))));
    let other = store.start(request("p", 1), [2; 32], now).expect_err("another body");
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    first(&store, request("q", 1), now);
    let later = now + limits::IDEMPOTENCY_TTL;
    drop(first(&store, request("p", 1), later));
    assert_eq!(store.kept().answers.len(), 0);
    assert_eq!(store.kept().order.len(), 0);
    assert_eq!(store.kept().by_project.len(), 0);
}

#[tokio::test]
async fn key_of_a_failed_request_is_free_again() {
    let (store, now) = (Arc::<IdempotencyStore>::default(), Instant::now());
    let refused = first(&store, request("p", 1), now).finish(Problem::bad("no").into_response()).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    drop(first(&store, request("p", 1), now));
    first(&store, request("p", 1), now).finish(answer()).await;
    assert_eq!(store.kept().order.len(), 1);
}

#[tokio::test]
async fn number_of_keys_is_bounded_for_a_project_and_for_all() {
    let (store, now) = (Arc::<IdempotencyStore>::default(), Instant::now());
    for project in ["a", "b", "c", "d"] {
        for key in 0..limits::IDEMPOTENCY_KEYS_PER_PROJECT {
            first(&store, request(project, key), now).finish(answer()).await;
        }
        let next = limits::IDEMPOTENCY_KEYS_PER_PROJECT;
        assert_eq!(status(&store, request(project, next), now), StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(status(&store, request("e", 0), now), StatusCode::TOO_MANY_REQUESTS);
    let later = now + limits::IDEMPOTENCY_TTL;
    let _running = first(&store, request("e", 0), later);
    assert_eq!(store.kept().answers.len(), 1);
}
