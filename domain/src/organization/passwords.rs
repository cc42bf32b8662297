//! Checking passwords and the bootstrap token, not too often.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;
use subtle::ConstantTimeEq;

use super::model::{Password, UserRef};
use super::port::{AccountStore, PasswordHasher};
use super::service::AccountFault;
use super::throttle::Throttle;
use crate::key::Digest;
use crate::store::StoreFault;
use crate::text::Email;
use crate::time::Clock;

/// The one place where a password that somebody sent is compared with a hash, or a token with the installation's.
pub struct Passwords<C> {
    store: Arc<dyn AccountStore>,
    hasher: Arc<dyn PasswordHasher>,
    throttle: Throttle,
    clock: C,
}

impl<C: Clock> Passwords<C> {
    /// Puts it together.
    pub fn new(store: Arc<dyn AccountStore>, hasher: Arc<dyn PasswordHasher>, clock: C) -> Self {
        Self { store, hasher, throttle: Throttle::default(), clock }
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: &Password) -> String {
        self.hasher.hash(password).await
    }

    /// Whether the password has this hash. Without a hash it says no and takes as long. `from` is the address of whoever
    /// sent it.
    ///
    /// # Errors
    /// [`AccountFault::Throttled`] after too many failures; then the password was not looked at.
    pub async fn check(
        &self,
        email: &Email,
        password: SecretString,
        hash: Option<String>,
        from: Option<IpAddr>,
    ) -> Result<bool, AccountFault> {
        let attempt = self.throttle.begin(email, from, self.clock.now())?;
        let right = self.hasher.verify(password, hash).await;
        if right {
            self.throttle.succeeded(attempt);
        }
        Ok(right)
    }

    /// Whether it is the installation's bootstrap token, without telling by the time how much of it is right. `from` is the
    /// address of whoever sent it.
    ///
    /// # Errors
    /// [`AccountFault::Throttled`] after too many failures; then the token was not looked at.
    pub async fn is_bootstrap(&self, presented: Digest, from: Option<IpAddr>) -> Result<bool, AccountFault> {
        let attempt = self.throttle.begin_token(from, self.clock.now())?;
        let armed = self.store.bootstrap().await?;
        // Without one to compare with, with zeros: nobody has a token with that digest.
        let armed = armed.map_or([0; 32], |digest| *digest.as_bytes());
        let right = bool::from(presented.as_bytes().ct_eq(&armed));
        if right {
            self.throttle.succeeded(attempt);
        }
        Ok(right)
    }

    /// Whether it is the password of a person who is signed in already.
    ///
    /// # Errors
    /// [`AccountFault`]
    pub async fn prove(
        &self,
        user: &UserRef,
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<bool, AccountFault> {
        let email: Email = user.email.parse().map_err(|_| StoreFault::Corrupt("an e-mail address".to_owned()))?;
        let hash = self.store.credentials(&email).await?.map(|credentials| credentials.password_hash);
        self.check(&email, password, hash, from).await
    }
}
