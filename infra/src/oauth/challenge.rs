//! `WWW-Authenticate` (RFC 9110, section 11.6.1), as far as an MCP server uses it: the Bearer challenge's
//! `resource_metadata` (RFC 9728, section 5.1) and `scope` (RFC 6750, section 3).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// What the server says when it is asked without a credential.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Where its resource metadata is.
    pub(super) resource_metadata: Option<String>,
    /// The scopes that the request needs.
    pub(super) scope: Option<String>,
}

impl Challenge {
    /// Reads the Bearer challenge among all that the headers have; empty when there is none.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut challenge = Self::default();
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let mut bearer = false;
            for item in items(&String::from_utf8_lossy(value.as_bytes())) {
                let item = item.trim();
                // `Scheme name=value` begins a challenge, `name=value` belongs to the one before.
                let blank = item
                    .find([' ', '\t'])
                    .filter(|blank| !item[..*blank].contains('=') && !item[*blank..].trim_start().starts_with('='));
                let (scheme, parameter) = match blank {
                    Some(blank) => (Some(&item[..blank]), item[blank..].trim_start()),
                    None if item.contains('=') => (None, item),
                    None => (Some(item), ""),
                };
                if let Some(scheme) = scheme {
                    bearer = scheme.eq_ignore_ascii_case("bearer");
                }
                if let Some((name, value)) = parameter.split_once('=').filter(|_| bearer) {
                    challenge.take(name.trim_end(), value.trim_start());
                }
            }
        }
        challenge
    }

    fn take(&mut self, name: &str, value: &str) {
        let place = match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => &mut self.scope,
            _ => return,
        };
        place.get_or_insert_with(|| unquoted(value));
    }
}

/// Parts between commas that are not inside quotes.
fn items(text: &str) -> Vec<&str> {
    let (mut items, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                items.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    items.push(&text[start..]);
    items
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut out, mut letters) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> (Option<String>, Option<String>) {
        let headers = values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_str(value).expect("a value")));
        let challenge = Challenge::of(&headers.collect());
        (challenge.resource_metadata, challenge.scope)
    }

    fn said(url: &str, scope: &str) -> (Option<String>, Option<String>) {
        (Some(url.to_owned()), Some(scope.to_owned()))
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others_however_it_is_written() {
        let expected = said("https://a.example/x,y", "read write");
        for values in [
            &[r#"Bearer resource_metadata="https://a.example/x,y", scope="read write""#][..],
            &[r#"bearer realm="a \"b\", c", RESOURCE_METADATA = "https://a.example/x,y" ,scope="read write", error=x"#],
            &[r#"Basic realm="x", Bearer scope="read write", resource_metadata="https://a.example/x,y""#],
            &[r#"Negotiate, Bearer resource_metadata="https://a.example/x,y",scope="read write", Basic scope="no""#],
            &[
                r#"Basic realm="resource_metadata=""#,
                r#"Bearer scope="read write",resource_metadata="https://a.example/x,y""#,
            ],
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
        assert_eq!(of(&["Bearer resource_metadata=https://a.example/x?y=z"]).0, Some("https://a.example/x?y=z".into()));
    }

    #[test]
    fn other_schemes_parameters_are_not_taken() {
        for value in [
            "",
            "Bearer",
            ",",
            r#"DPoP resource_metadata="https://a.example""#,
            r#"Bearer realm="resource_metadata=x""#,
            r#"Bearer, Basic scope="x""#,
        ] {
            assert_eq!(of(&[value]), (None, None), "{value}");
        }
    }
}
