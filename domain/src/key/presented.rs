//! Which token a request presents: `X-API-Key: <token>` or `Authorization: Bearer <token>`, in any number of header
//! lines as long as they say the same.

/// No token, or more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// Neither header is there.
    #[error("no credentials")]
    Missing,
    /// The headers name different values.
    #[error("two different credentials")]
    Conflicting,
    /// A value is not ASCII text.
    #[error("credentials are not text")]
    NotText,
}

/// Selects the one token among the values of both headers. An `Authorization` of another scheme than Bearer is not ours
/// to judge: a proxy in front may use Basic for itself.
///
/// # Errors
/// [`NoToken`], for the audit log alone.
pub fn select<'a>(
    x_api_key: impl IntoIterator<Item = &'a [u8]>,
    authorization: impl IntoIterator<Item = &'a [u8]>,
) -> Result<&'a str, NoToken> {
    let bearer = authorization.into_iter().filter_map(after_bearer);
    let mut found: Option<&[u8]> = None;
    for value in x_api_key.into_iter().map(<[u8]>::trim_ascii).chain(bearer) {
        match found {
            Some(earlier) if earlier != value => return Err(NoToken::Conflicting),
            _ => found = Some(value),
        }
    }
    std::str::from_utf8(found.ok_or(NoToken::Missing)?).map_err(|_| NoToken::NotText)
}

fn after_bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(b"bearer".len())?;
    let separated = rest.is_empty() || rest[0] == b' ' || rest[0] == b'\t';
    (scheme.eq_ignore_ascii_case(b"bearer") && separated).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select_text<'a>(keys: &[&'a str], auth: &[&'a str]) -> Result<&'a str, NoToken> {
        select(keys.iter().map(|v| v.as_bytes()), auth.iter().map(|v| v.as_bytes()))
    }

    #[test]
    fn both_headers_work_identically() {
        assert_eq!(select_text(&["t"], &[]), Ok("t"));
        for value in ["Bearer t", "bearer t", "BEARER  t", " bEaReR t "] {
            assert_eq!(select_text(&[], &[value]), Ok("t"), "{value:?}");
        }
        assert_eq!(select_text(&["t"], &["Bearer t"]), Ok("t"));
        assert_eq!(select_text(&["t", "t"], &[]), Ok("t"));
    }

    #[test]
    fn two_different_values_are_a_conflict() {
        assert_eq!(select_text(&["a"], &["Bearer b"]), Err(NoToken::Conflicting));
        assert_eq!(select_text(&["a", "b"], &[]), Err(NoToken::Conflicting));
        assert_eq!(select_text(&[], &["Bearer a", "Bearer b"]), Err(NoToken::Conflicting));
        assert_eq!(select_text(&["a"], &["Bearer"]), Err(NoToken::Conflicting));
    }

    #[test]
    fn other_schemes_are_no_key() {
        assert_eq!(select_text(&[], &["Basic dTpw"]), Err(NoToken::Missing));
        assert_eq!(select_text(&[], &["Bearertoken"]), Err(NoToken::Missing));
        assert_eq!(select_text(&["t"], &["Basic dTpw"]), Ok("t"));
    }
}
