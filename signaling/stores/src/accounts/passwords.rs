//! Passwords: argon2id (RFC 9106) on two threads of low priority, so that logins take no time from media.
//!
//! Each thread uses its 19 MiB again for the next password. New memory for each would keep the kernel busy with
//! clearing pages, which delays media on all cores.

use super::error::AccountError;
use super::limits::{
    HASH_KIB, HASH_MEMORY_IDLE, HASH_PASSES, PASSWORD_BYTES_MAX, PASSWORD_NICENESS, PASSWORD_QUEUE_LEN,
    PASSWORD_THREADS,
};
use super::names::check_password;
use argon2::password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// All threads are busy, and their queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once; try again in a few seconds")]
pub struct PasswordsBusy;

type Job = Box<dyn FnOnce(&mut Hasher) + Send>;

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
        let hashed = self.run(move |hasher| {
            let hash = hasher.hash(password.as_bytes());
            hash.expect("the parameters and the length of the password were checked")
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
        let is_right = self.run(move |hasher| {
            let hash = PasswordHash::new(&hash).ok().filter(is_affordable);
            hash.is_some_and(|hash| hasher.verify(password.as_bytes(), &hash).is_ok_and(|is_right| is_right))
        });
        Ok(is_right.await? && is_known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Hasher) -> T + Send + 'static,
    ) -> Result<T, PasswordsBusy> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |hasher| {
            // The client may have disconnected while its password waited.
            if !reply.is_closed() {
                let _ = reply.send(work(hasher));
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
    let mut hasher = Hasher::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(HASH_MEMORY_IDLE);
        match job {
            Ok(job) => job(&mut hasher),
            Err(RecvTimeoutError::Timeout) => hasher.memory = Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Computes hashes, one after another in the same memory.
#[derive(Default)]
struct Hasher {
    /// Empty before the first hash, and after a pause.
    memory: Vec<Block>,
}

impl Hasher {
    /// The hash of a password with a new salt.
    fn hash(&mut self, password: &[u8]) -> Result<String, password_hash::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system provides random numbers");
        let salt = SaltString::encode_b64(&random)?;
        let (algorithm, version, params) = (Algorithm::Argon2id, Version::V0x13, params());
        let output = self.compute(password, salt.as_salt(), algorithm, version, params.clone())?;
        let hash = PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt.as_salt()),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// Whether a password has this hash. The comparison takes the same time for all outputs of one length.
    fn verify(&mut self, password: &[u8], hash: &PasswordHash<'_>) -> Result<bool, password_hash::Error> {
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Ok(false) };
        let algorithm = Algorithm::try_from(hash.algorithm)?;
        let version = hash.version.map(Version::try_from).transpose()?.unwrap_or(Version::V0x10);
        let output = self.compute(password, salt, algorithm, version, Params::try_from(hash)?)?;
        Ok(output == expected)
    }

    fn compute(
        &mut self,
        password: &[u8],
        salt: Salt<'_>,
        algorithm: Algorithm,
        version: Version,
        params: Params,
    ) -> Result<Output, password_hash::Error> {
        let mut bytes = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut bytes)?;
        let (blocks, len) = (params.block_count(), params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN));
        if self.memory.len() < blocks {
            self.memory = vec![Block::new(); blocks];
        }
        let memory = &mut self.memory[..blocks];
        let argon2 = Argon2::new(algorithm, version, params);
        Output::init_with(len, |out| Ok(argon2.hash_password_into_with_memory(password, salt, out, memory)?))
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
