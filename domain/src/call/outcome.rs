//! How a call ended.

use crate::audit::entry::Word;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server's answer went to the caller, to its end and whatever its status.
    Answered,
    /// The server gave no answer that could be passed on, or something of ours failed; the caller got this code.
    Failed(Word),
    /// The message was refused, or the caller's right to it ended before the answer began; it got this code.
    Refused(Word),
    /// The caller went away before the answer, or before its end.
    Cancelled,
    /// The answer began, and was ended before its time.
    Cut(Cut),
}

/// Why an answer was ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The key was revoked or expired, or its token rotated away.
    KeyOver,
    /// The node could not learn whether the key still works.
    KeyDoubted,
    /// The tenant was suspended.
    TenantSuspended,
    /// The server was silent for too long.
    Idle,
    /// The server's connection broke.
    Broken,
    /// Keyrack was stopped.
    Shutdown,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::KeyOver, Self::KeyDoubted, Self::TenantSuspended, Self::Idle, Self::Broken, Self::Shutdown];

    /// Its name in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyOver => "key_over",
            Self::KeyDoubted => "key_doubted",
            Self::TenantSuspended => "tenant_suspended",
            Self::Idle => "idle",
            Self::Broken => "broken",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Outcome {
    /// Its number in the store.
    #[must_use]
    pub const fn number(&self) -> i16 {
        match self {
            Self::Answered => 0,
            Self::Failed(_) => 1,
            Self::Refused(_) => 2,
            Self::Cancelled => 3,
            Self::Cut(_) => 4,
        }
    }

    /// The code or the name that stands beside the number.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Answered | Self::Cancelled => None,
            Self::Failed(code) | Self::Refused(code) => Some(code),
            Self::Cut(cut) => Some(cut.as_str()),
        }
    }

    /// The outcome that a store holds; none when it can be no outcome.
    #[must_use]
    pub fn of_stored(number: i16, reason: Option<String>) -> Option<Self> {
        match (number, reason) {
            (0, None) => Some(Self::Answered),
            (1, Some(code)) => Some(Self::Failed(code.into())),
            (2, Some(code)) => Some(Self::Refused(code.into())),
            (3, None) => Some(Self::Cancelled),
            (4, Some(name)) => Cut::ALL.into_iter().find(|cut| cut.as_str() == name).map(Self::Cut),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_round_trips_through_its_number_and_reason() {
        let codes = [Outcome::Failed("upstream_error".into()), Outcome::Refused("secret_argument".into())];
        let plain = codes.into_iter().chain([Outcome::Answered, Outcome::Cancelled]);
        for outcome in plain.chain(Cut::ALL.into_iter().map(Outcome::Cut)) {
            let stored = Outcome::of_stored(outcome.number(), outcome.reason().map(str::to_owned));
            assert_eq!(stored, Some(outcome));
        }
        assert_eq!(Outcome::of_stored(4, Some("bored".to_owned())), None);
        assert_eq!(Outcome::of_stored(1, None), None);
        assert_eq!(Outcome::of_stored(5, None), None);
    }
}
