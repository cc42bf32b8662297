//! Sending letters by SMTP.

use std::time::Duration;

use async_trait::async_trait;
use domain::mail::{Mail, Mailer};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// How long a mail server may take over a letter.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where letters are handed over. It may hold a password, and cannot be printed.
#[derive(Clone)]
pub struct SmtpUrl(SecretString);

/// The text is no address of a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST?tls=required, or smtp://HOST without TLS and password"
)]
pub struct InvalidSmtpUrl;

impl std::str::FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSmtpUrl> {
        let url = Url::parse(text).map_err(|_| InvalidSmtpUrl)?;
        let clear =
            url.scheme() == "smtp" && !url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        // A password never travels in the clear, also not when somebody in between says that there is no TLS.
        if url.host_str().is_none() || (clear && url.password().is_some()) {
            return Err(InvalidSmtpUrl);
        }
        AsyncSmtpTransport::<Tokio1Executor>::from_url(text).map_err(|_| InvalidSmtpUrl)?;
        Ok(Self(SecretString::from(text)))
    }
}

/// Who letters are from: an address, or a name and an address in angle brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// The text is no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an address, for example Keyrack <keys@example.com>")]
pub struct InvalidSender;

impl std::str::FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        text.parse().map(Self).map_err(|_| InvalidSender)
    }
}

/// A mail server.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the address cannot be written to")]
    Address(#[from] lettre::address::AddressError),
    #[error("the letter cannot be written")]
    Letter(#[from] lettre::error::Error),
    #[error("the mail server did not take it")]
    Server(#[from] lettre::transport::smtp::Error),
    #[error("the mail server took too long")]
    Silent(#[from] tokio::time::error::Elapsed),
}

impl SmtpMailer {
    /// Sends through the server at `url`.
    ///
    /// # Panics
    /// Never: the address was tried when it was parsed.
    #[must_use]
    pub fn new(url: &SmtpUrl, from: Sender) -> Self {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.0.expose_secret()).expect("tried before");
        Self { transport: transport.timeout(Some(PATIENCE)).build(), from: from.0 }
    }

    async fn try_send(&self, mail: Mail) -> Result<(), Fault> {
        let letter = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.to.as_str().parse()?))
            .subject(mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.expose_secret().to_owned())?;
        tokio::time::timeout(PATIENCE, self.transport.send(letter)).await??;
        Ok(())
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: Mail) -> bool {
        let sent = self.try_send(mail).await;
        if let Err(fault) = &sent {
            tracing::warn!(error = fault as &dyn std::error::Error, "a letter was not sent");
        }
        sent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_mail_servers_are_checked_and_no_password_travels_in_the_clear() {
        for good in ["smtp://localhost:2525", "smtps://u:p@mx.example.com", "smtp://u:p@mx.example.com?tls=required"] {
            assert!(good.parse::<SmtpUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "mx.example.com",
            "http://mx.example.com",
            "smtp://u:p@mx.example.com",
            "smtp://u:p@mx.example.com?tls=opportunistic",
            "smtp://mx.example.com?tls=perhaps",
        ] {
            assert_eq!(bad.parse::<SmtpUrl>().err(), Some(InvalidSmtpUrl), "{bad}");
        }
    }

    #[test]
    fn senders_are_addresses() {
        assert!("Keyrack <keys@example.com>".parse::<Sender>().is_ok() && "keys@example.com".parse::<Sender>().is_ok());
        assert_eq!("keys".parse::<Sender>(), Err(InvalidSender));
    }
}
