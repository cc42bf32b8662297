//! Passwords of people: argon2id, off the threads that serve requests.

use std::sync::Arc;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use domain::organization::Password;
use domain::organization::port::PasswordHasher;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Hashes at once. Each takes 19 MiB and tens of milliseconds of one core; a flood of sign-ins must wait, not swap.
const CONCURRENT: usize = 4;

/// argon2id with 19 MiB, 2 passes, 1 lane: OWASP's first recommendation (Password Storage Cheat Sheet).
pub struct Argon2Hasher {
    argon2: Argon2<'static>,
    decoy: String,
    permits: Arc<Semaphore>,
}

impl Argon2Hasher {
    /// A hasher of the recommended cost.
    ///
    /// # Panics
    /// Never: the parameters are within argon2's ranges.
    #[must_use]
    pub fn new() -> Self {
        let params = Params::new(19 * 1024, 2, 1, None).expect("parameters within argon2's ranges");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, "nobody has this password");
        Self { argon2, decoy, permits: Arc::new(Semaphore::new(CONCURRENT)) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(Argon2<'static>) -> T + Send + 'static) -> T {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let argon2 = self.argon2.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(argon2)
        });
        done.await.expect("hashing does not panic")
    }
}

impl Default for Argon2Hasher {
    fn default() -> Self {
        Self::new()
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> String {
    let salt = SaltString::generate(&mut OsRng);
    argon2.hash_password(password.as_bytes(), &salt).expect("a salt of the right length").to_string()
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &Password) -> String {
        let password = password.clone();
        self.run(move |argon2| hash(&argon2, password.expose())).await
    }

    async fn verify(&self, password: SecretString, stored: Option<String>) -> bool {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let matches = self
            .run(move |argon2| {
                PasswordHash::new(&stored)
                    .is_ok_and(|stored| argon2.verify_password(password.expose_secret().as_bytes(), &stored).is_ok())
            })
            .await;
        known && matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let hasher = Argon2Hasher::new();
        let stored = hasher.hash(&Password::new("correct horse battery".to_owned().into()).expect("long")).await;
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hasher.verify("correct horse battery".to_owned().into(), Some(stored.clone())).await);
        assert!(!hasher.verify("incorrect horse".to_owned().into(), Some(stored)).await);
        assert!(!hasher.verify("nobody has this password".to_owned().into(), None).await);
    }
}
