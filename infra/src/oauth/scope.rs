//! Which scopes are asked for.

use super::OAuthFault;
use super::fault::Step;

/// Longest list of scopes, in bytes: the authorization URL must stay one that browsers and servers take.
pub(super) const SCOPE_MAX: usize = 1024;

/// Gives a refresh token where OpenID Connect's rules are followed.
const OFFLINE: &str = "offline_access";

/// A list of scopes (RFC 6749, section 3.3), as it stands in a request; none when there are none.
pub(super) fn list<'a>(step: Step, scopes: impl IntoIterator<Item = &'a str>) -> Result<Option<String>, OAuthFault> {
    let mut list = String::new();
    for scope in scopes.into_iter().flat_map(|scopes| scopes.split(' ')).filter(|scope| !scope.is_empty()) {
        if !scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(OAuthFault::Document { step, what: "a scope has characters that scopes cannot have" });
        }
        if !list.split(' ').any(|known| known == scope) {
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(scope);
        }
    }
    match list.len() {
        0 => Ok(None),
        length if length > SCOPE_MAX => Err(OAuthFault::Document { step, what: "the list of scopes is too long" }),
        _ => Ok(Some(list)),
    }
}

/// The same with what makes it last, where the authorization server knows that.
pub(super) fn lasting(scope: Option<String>, offered: &[String]) -> Option<String> {
    match scope {
        Some(scope) if offered.iter().any(|offered| offered == OFFLINE) && !scope.split(' ').any(|s| s == OFFLINE) => {
            Some(format!("{scope} {OFFLINE}"))
        }
        scope => scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_each_scope_once_and_nothing_else() {
        let list = |scopes: &[&str]| list(Step::Probe, scopes.iter().copied());
        assert_eq!(list(&["a b", "", " b  c"]).expect("scopes").as_deref(), Some("a b c"));
        assert_eq!(list(&["", " "]).expect("none"), None);
        for bad in ["a\"b", "a\\b", "a\nb", "ä", "\u{7f}"] {
            assert!(list(&[bad]).is_err(), "{bad:?}");
        }
        assert!(list(&[&"x".repeat(SCOPE_MAX + 1)]).is_err());
    }

    #[test]
    fn a_refresh_token_is_asked_for_where_that_takes_a_scope() {
        let offered = ["openid".to_owned(), OFFLINE.to_owned()];
        assert_eq!(lasting(Some("a".into()), &offered).as_deref(), Some("a offline_access"));
        assert_eq!(lasting(Some("offline_access a".into()), &offered).as_deref(), Some("offline_access a"));
        assert_eq!(lasting(Some("a".into()), &[]).as_deref(), Some("a"));
        assert_eq!(lasting(None, &offered), None, "without any scope the server gives what it thinks right");
    }
}
