use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

/// The niceness of the calling thread: field 19 of its `stat` (proc(5)).
fn niceness() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let fields = stat.rsplit_once(')').expect("a name in parentheses").1;
    fields.split_whitespace().nth(16).and_then(|field| field.parse().ok()).expect("a number")
}

#[tokio::test]
async fn two_jobs_run_at_once_on_threads_of_low_priority() {
    let threads = PasswordThreads::start().expect("two threads");
    let running = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (0..40)
        .map(|_| {
            let (threads, running) = (threads.clone(), running.clone());
            tokio::spawn(async move {
                let job = threads.run(move |_| {
                    let at_once = running.fetch_add(1, SeqCst) + 1;
                    std::thread::sleep(Duration::from_millis(5));
                    running.fetch_sub(1, SeqCst);
                    (at_once, niceness())
                });
                job.await.expect("the queue is longer")
            })
        })
        .collect();
    let mut most = 0;
    for job in jobs {
        let (at_once, niceness) = job.await.expect("no panic");
        most = most.max(at_once);
        assert_eq!(niceness, PASSWORD_NICENESS);
    }
    assert_eq!(most, PASSWORD_THREADS);
    assert!(niceness() < PASSWORD_NICENESS, "the other threads keep theirs");
}

#[tokio::test]
async fn full_queue_refuses_and_is_empty_later() {
    let threads = PasswordThreads::start().expect("two threads");
    let (open, gate) = std::sync::mpsc::sync_channel::<()>(0);
    let gate = Arc::new(Mutex::new(gate));
    let mut waiting = Vec::new();
    let mut refused = 0;
    for _ in 0..PASSWORD_QUEUE_LEN + PASSWORD_THREADS + 10 {
        let gate = gate.clone();
        // Polled once, which queues the job.
        let mut job = Box::pin(threads.run(move |_| {
            let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }));
        let polled = std::future::poll_fn(|context| Poll::Ready(job.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(result) => {
                assert_eq!(result, Err(PasswordsBusy));
                refused += 1;
            }
            Poll::Pending => waiting.push(job),
        }
    }
    // The threads may not have taken their first jobs when the queue was full.
    assert!((10..=10 + PASSWORD_THREADS).contains(&refused), "{refused}");
    drop(open);
    for job in waiting {
        job.await.expect("its turn has come");
    }
    threads.run(|_| ()).await.expect("the queue is empty");
}

#[tokio::test]
async fn hash_is_argon2id_with_the_parameters_of_the_specification() {
    let threads = PasswordThreads::start().expect("two threads");
    let hash = threads.hash("correct horse battery staple").await.expect("a hash");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(threads.hash("correct horse battery staple").await.expect("a hash"), hash, "salted");
    let verify = async |password, hash| threads.verify(password, hash).await.expect("not busy");
    assert!(verify("correct horse battery staple", Some(&hash)).await);
    assert!(!verify("correct horse battery stapl", Some(&hash)).await);
    assert!(!verify("correct horse battery staple", None).await);
    for invalid in ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$"] {
        assert!(!verify("correct horse battery staple", Some(invalid)).await, "{invalid:?}");
    }
    let costly = hash.replace("m=19456", "m=4194304");
    assert!(!verify("correct horse battery staple", Some(&costly)).await, "4 GiB");
    for refused in ["short", &"x".repeat(PASSWORD_BYTES_MAX + 1)] {
        let error = threads.hash(refused).await.expect_err("refused");
        assert!(error.to_string().contains("at least 8 characters"), "{error}");
    }
}

/// The hash for unknown users has the form and the cost of the others.
#[test]
fn hash_of_unknown_users_costs_as_much_as_others() {
    let unknown = PasswordHash::new(UNKNOWN_USER).expect("the form of a hash");
    assert_eq!(
        Params::try_from(&unknown).map(|p| (p.m_cost(), p.t_cost(), p.p_cost(), p.output_len())),
        Ok((HASH_KIB, HASH_PASSES, 1, Some(32)))
    );
    assert!(is_affordable(&unknown));
    let salt = unknown.salt.expect("a salt").decode_b64(&mut [0; 64]).expect("base64").len();
    assert_eq!(salt, 17);
}

/// Memory that was used for another password changes no result, and the library computes the same.
#[test]
fn hashes_in_used_memory_are_those_of_the_library() {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};
    let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
    let mut hasher = Hasher::default();
    for password in ["one password", "another password"] {
        let own = hasher.hash(password.as_bytes()).expect("a hash");
        let parsed = PasswordHash::new(&own).expect("the form of PHC");
        assert!(own.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{own}");
        library.verify_password(password.as_bytes(), &parsed).expect("the same hash");
        let salt = SaltString::encode_b64(&[7; 16]).expect("a salt");
        let theirs = library.hash_password(password.as_bytes(), &salt).expect("a hash");
        assert!(hasher.verify(password.as_bytes(), &theirs).expect("computed"));
        assert!(!hasher.verify(b"a wrong password", &theirs).expect("computed"));
    }
    assert_eq!(hasher.memory.len(), HASH_KIB as usize);
}
