//! Passwords: argon2id (RFC 9106) on two threads of low priority, so that logins take no time from media.

use super::error::AccountError;
use super::limits::{
    HASH_KIB, HASH_PASSES, PASSWORD_BYTES_MAX, PASSWORD_NICENESS, PASSWORD_QUEUE_LEN, PASSWORD_THREADS,
};
use super::names::check_password;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// All threads are busy, and their queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once; try again in a few seconds")]
pub struct PasswordsBusy;

type Job = Box<dyn FnOnce(&Argon2<'static>) + Send>;

/// The threads that compute hashes. They end with this value.
#[derive(Clone)]
pub struct PasswordThreads {
    jobs: SyncSender<Job>,
}

impl PasswordThreads {
    /// Starts the threads.
    pub fn start() -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(PASSWORD_QUEUE_LEN);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..PASSWORD_THREADS {
            let queue = queue.clone();
            thread::Builder::new().name(format!("leat-password-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// The hash of a new password, in the form of the PHC string format.
    pub async fn hash(&self, password: &str) -> Result<String, HashError> {
        check_password(password)?;
        let password = password.to_owned();
        let hashed = self.run(move |argon2| {
            let mut random = [0; 16];
            getrandom::fill(&mut random).expect("the system provides random numbers");
            let salt = SaltString::encode_b64(&random).expect("16 bytes are a salt");
            let hash = argon2.hash_password(password.as_bytes(), &salt);
            hash.expect("the parameters and the length of the password were checked").to_string()
        });
        Ok(hashed.await?)
    }

    /// Whether the password has this hash. Without a hash it costs the same, and is false.
    pub(super) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordsBusy> {
        // Such a password was never accepted. Its length is no secret.
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let is_known = hash.is_some();
        let (password, hash) = (password.to_owned(), hash.unwrap_or(UNKNOWN_USER).to_owned());
        let is_right = self.run(move |argon2| {
            let hash = PasswordHash::new(&hash).ok().filter(is_affordable);
            hash.is_some_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
        });
        Ok(is_right.await? && is_known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, PasswordsBusy> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |argon2| {
            // The client may have disconnected while its password waited.
            if !reply.is_closed() {
                let _ = reply.send(work(argon2));
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => PasswordsBusy,
        })?;
        answer.await.map_err(|_| PasswordsBusy)
    }
}

/// A new password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Its form is not accepted.
    #[error(transparent)]
    Refused(#[from] AccountError),
    /// Too many passwords at once.
    #[error(transparent)]
    Busy(#[from] PasswordsBusy),
}

fn work(queue: &Mutex<Receiver<Job>>) {
    // On Linux, the niceness is that of the thread. If it is refused, only the priority is missing.
    if let Err(error) = rustix::process::nice(PASSWORD_NICENESS) {
        tracing::warn!(%error, "cannot lower the priority of the threads that hash passwords");
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&argon2),
            Err(_) => return,
        }
    }
}

fn params() -> Params {
    Params::new(HASH_KIB, HASH_PASSES, 1, None).expect("valid parameters")
}

/// A restored database could have hashes that cost more.
fn is_affordable(hash: &PasswordHash<'_>) -> bool {
    let params = Params::try_from(hash);
    params.is_ok_and(|params| {
        params.m_cost() <= HASH_KIB && params.t_cost() <= HASH_PASSES && params.p_cost() == 1
    })
}

/// Verified for unknown users. Its parameters are those of every other hash, so it takes as long.
const UNKNOWN_USER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bGVhdC11bmtub3duLXVzZXI$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests;
