//! What an answer says about going elsewhere, and where we may follow.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};

use super::Target;

/// Where an answer sends us.
#[derive(Debug)]
pub enum Redirect {
    /// Nowhere: it is the answer.
    No,
    /// Somewhere that we may follow: the same origin, with a status that keeps method and body (307, 308).
    Same(Box<Target>),
    /// Somewhere else.
    Elsewhere,
}

impl Redirect {
    /// Reads an answer of `from`. Whoever follows does so once.
    #[must_use]
    pub fn read(status: StatusCode, headers: &HeaderMap, from: &Target) -> Self {
        if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
            return Self::No;
        }
        let same_origin = || {
            let keeps_body = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&status);
            let location = headers.get(LOCATION).filter(|_| keeps_body)?;
            let to = from.url().join(location.to_str().ok()?).ok()?;
            if to.origin() == from.url().origin() { Target::of(&to).ok() } else { None }
        };
        same_origin().map_or(Self::Elsewhere, |target| Self::Same(Box::new(target)))
    }
}
