//! `Idempotency-Key`: a POST that is sent twice is carried out once (draft-ietf-httpapi-idempotency-key-header).
//!
//! The answer to a request that succeeded is kept in the memory of this process, and sent again. After an error
//! nothing is kept, so the request can be sent again with the same key.

use super::Problem;
use crate::limits;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was sent before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The kept answers.
#[derive(Debug, Default)]
pub(super) struct IdempotencyStore(Mutex<KeptAnswers>);

#[derive(Debug, Default)]
struct KeptAnswers {
    answers: HashMap<RequestKey, Kept>,
    /// In the order of their start, each with its time.
    order: VecDeque<(Instant, RequestKey)>,
    by_project: HashMap<String, usize>,
}

/// The key of a request, and who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestKey {
    pub(super) project: String,
    pub(super) caller: String,
    pub(super) key: String,
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    /// Of the path and the body.
    fingerprint: [u8; 32],
    /// `None` while the request is carried out.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Start {
    /// Carry it out.
    First(Running),
    /// Send this answer.
    Again(Answer),
}

/// The right to carry out a request. If it is dropped without an answer, the key is free again.
#[derive(Debug)]
pub(super) struct Running {
    store: Arc<IdempotencyStore>,
    key: RequestKey,
}

impl IdempotencyStore {
    pub(super) fn start(
        self: &Arc<Self>,
        key: RequestKey,
        fingerprint: [u8; 32],
        now: Instant,
    ) -> Result<Start, Problem> {
        let mut kept = self.kept();
        kept.remove_old(now);
        if let Some(found) = kept.answers.get(&key) {
            if found.fingerprint != fingerprint {
                let text = "this Idempotency-Key was used for another request; each request needs its own";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(Problem::new(status, text).with_code("IDEMPOTENCY_KEY_USED"));
            }
            return found.answer.clone().map(Start::Again).ok_or_else(|| {
                let text = "the first request with this Idempotency-Key is still being carried out";
                let problem = Problem::new(StatusCode::CONFLICT, text).with_code("IDEMPOTENCY_KEY_RUNNING");
                problem.retry_after(Duration::from_secs(1))
            });
        }
        let of_project = kept.by_project.get(&key.project).copied().unwrap_or_default();
        if of_project >= limits::IDEMPOTENCY_KEYS_PER_PROJECT
            || kept.answers.len() >= limits::IDEMPOTENCY_KEYS_MAX
        {
            let oldest = kept.order.front().map_or(now, |(since, _)| *since);
            let text = "too many requests with an Idempotency-Key in the last hour; leave it out, or try again later";
            let pause = (oldest + limits::IDEMPOTENCY_TTL).saturating_duration_since(now);
            return Err(Problem::limit(text, pause));
        }
        *kept.by_project.entry(key.project.clone()).or_default() += 1;
        kept.order.push_back((now, key.clone()));
        kept.answers.insert(key.clone(), Kept { since: now, fingerprint, answer: None });
        Ok(Start::First(Running { store: self.clone(), key }))
    }

    fn kept(&self) -> MutexGuard<'_, KeptAnswers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptAnswers {
    fn remove_old(&mut self, now: Instant) {
        while let Some((since, key)) = self.order.front() {
            let is_current = self.answers.get(key).is_some_and(|kept| kept.since == *since);
            let is_old = now.saturating_duration_since(*since) >= limits::IDEMPOTENCY_TTL;
            if is_current && !is_old {
                return;
            }
            let (_, key) = self.order.pop_front().expect("it was there");
            if is_current {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &RequestKey) {
        if self.answers.remove(key).is_none() {
            return;
        }
        if let Some(count) = self.by_project.get_mut(&key.project) {
            *count -= 1;
            if *count == 0 {
                self.by_project.remove(&key.project);
            }
        }
    }
}

impl Running {
    /// Keeps the answer for later requests, if the request succeeded.
    pub(super) async fn finish(self, response: Response) -> Response {
        if !response.status().is_success() {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, limits::API_BODY_BYTES_MAX).await else {
            return Problem::internal().into_response();
        };
        let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
        let answer = Answer { status: parts.status, content_type, body: body.clone() };
        if let Some(kept) = self.store.kept().answers.get_mut(&self.key) {
            kept.answer = Some(answer);
        }
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut kept = self.store.kept();
        if kept.answers.get(&self.key).is_some_and(|kept| kept.answer.is_none()) {
            kept.remove(&self.key);
            // Its place in the order would stay for the whole time otherwise.
            let key = &self.key;
            if let Some(at) = kept.order.iter().rposition(|(_, other)| other == key) {
                kept.order.remove(at);
            }
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests;
