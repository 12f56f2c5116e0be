//! Logging in with a name and a password.

use super::Accounts;
use super::audit::{Action, Actor};
use super::error::AccountError;
use super::passwords::{PasswordThreads, PasswordsBusy};
use super::users::User;

/// A login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, another password, or a disabled user: the answer is the same for all three.
    #[error("wrong user name or password, or the user is disabled")]
    Credentials,
    /// Too many logins at once.
    #[error(transparent)]
    Busy(#[from] PasswordsBusy),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] AccountError),
}

impl Accounts {
    /// Checks a password, and records the login. An unknown user takes as long as a wrong password.
    pub async fn log_in(
        &self,
        threads: &PasswordThreads,
        project: &str,
        name: &str,
        password: &str,
    ) -> Result<User, LoginError> {
        let found = self.credentials(project, name).await?;
        let hash = found.as_ref().map(|found| found.password_hash.as_str());
        let is_right = threads.verify(password, hash).await?;
        let Some(user) = found.map(|found| found.user) else { return Err(LoginError::Credentials) };
        let target = format!("user:{}", user.id);
        if is_right && !user.is_disabled {
            let actor = Actor::User(user.id.clone());
            self.record(&actor, Action::new("user.login", target, &user.project)).await?;
            return Ok(user);
        }
        // The answer does not wait for it: the time would show that the user exists.
        let accounts = self.clone();
        tokio::spawn(async move {
            let action = Action::new("user.login-failed", target, &user.project);
            if let Err(error) = accounts.record(&Actor::System, action).await {
                tracing::warn!(%error, "cannot record a failed login");
            }
        });
        Err(LoginError::Credentials)
    }
}
