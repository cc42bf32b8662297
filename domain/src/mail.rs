//! Letters that Keyrack writes.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::text::Email;

/// A letter in plain text.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom.
    pub to: Email,
    /// What about; one line.
    pub subject: String,
    /// The text. It has links that work, and is never logged.
    pub text: SecretString,
}

/// Sends letters.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands a letter to the mail server, and says whether it was taken. Returns within seconds; why a letter was not
    /// taken is for the operator, whom the adapter tells.
    async fn send(&self, mail: Mail) -> bool;
}
