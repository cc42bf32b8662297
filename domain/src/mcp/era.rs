//! Revisions of the protocol, and the two eras they fall into: with a handshake and sessions, or with everything in each
//! request.

/// A revision of the protocol, by the day that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revision {
    /// 2024-11-05
    V2024_11_05,
    /// 2025-03-26, the only one with batches. Also what a message without a version is taken for.
    V2025_03_26,
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
    /// 2026-07-28, the first modern one.
    V2026_07_28,
    /// One that is not known here. The server says whether it knows it.
    Unknown,
}

impl Revision {
    const KNOWN: [Self; 5] =
        [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26, Self::V2024_11_05];

    /// Reads a version as headers and messages have it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::KNOWN.into_iter().find(|known| known.as_str() == text).unwrap_or(Self::Unknown)
    }

    /// As headers and messages have it; `unknown` for one that is not known here.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
            Self::Unknown => "unknown",
        }
    }
}

/// Which rules hold for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// A handshake, sessions, streams by GET: 2025-11-25 and earlier. What names no version is taken for 2025-03-26, and
    /// whatever is no date of a later revision falls in here: nothing is asked of it, and the server judges it.
    Legacy(Revision),
    /// Every request stands by itself: 2026-07-28 and later.
    Modern,
}

impl Era {
    /// The era of a version as headers and messages have it.
    #[must_use]
    pub fn of(version: Option<&str>) -> Self {
        match version {
            None => Self::Legacy(Revision::V2025_03_26),
            Some(version) if is_modern(version) => Self::Modern,
            Some(version) => Self::Legacy(Revision::of(version)),
        }
    }

    /// Whether every request stands by itself.
    #[must_use]
    pub const fn is_modern(self) -> bool {
        matches!(self, Self::Modern)
    }

    /// Whether arrays of messages are taken.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::Legacy(Revision::V2025_03_26))
    }

    /// The revision; the first of its era for a modern one.
    #[must_use]
    pub const fn revision(self) -> Revision {
        match self {
            Self::Legacy(revision) => revision,
            Self::Modern => Revision::V2026_07_28,
        }
    }
}

/// Versions are days and compare as texts. One later than all that are known is modern: what went away does not come back.
fn is_modern(version: &str) -> bool {
    let day = version.len() == 10
        && version.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    day && version >= Revision::V2026_07_28.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fall_into_eras_by_their_day() {
        for modern in ["2026-07-28", "2026-12-01", "2031-01-01"] {
            assert_eq!(Era::of(Some(modern)), Era::Modern, "{modern}");
        }
        for (legacy, revision) in [
            ("2025-11-25", Revision::V2025_11_25),
            ("2025-06-18", Revision::V2025_06_18),
            ("2025-03-26", Revision::V2025_03_26),
            ("2024-11-05", Revision::V2024_11_05),
            ("2026-07-27", Revision::Unknown),
            ("DRAFT-2026-v1", Revision::Unknown),
            ("draft", Revision::Unknown),
            ("3026-07-2", Revision::Unknown),
            ("2026-07-28x", Revision::Unknown),
            ("", Revision::Unknown),
        ] {
            assert_eq!(Era::of(Some(legacy)), Era::Legacy(revision), "{legacy}");
        }
    }

    #[test]
    fn no_version_is_the_first_of_streamable_http_which_alone_has_batches() {
        assert_eq!(Era::of(None), Era::Legacy(Revision::V2025_03_26));
        let with: Vec<_> = Revision::KNOWN.iter().filter(|known| Era::of(Some(known.as_str())).has_batches()).collect();
        assert_eq!(with, [&Revision::V2025_03_26]);
    }
}
