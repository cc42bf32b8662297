//! What a person's browser brings back.

use secrecy::SecretString;
use url::form_urlencoded;

use super::fault::error_code;

/// Longest code, state or error that is read, in bytes.
const VALUE_MAX: usize = 4096;

/// The answer to an authorization request, as it stands in the query. Nothing in it is true before the state was found
/// and the issuer compared.
pub struct Callback {
    /// Whose answer it is.
    pub state: SecretString,
    /// The authorization server, if it names itself.
    pub issuer: Option<String>,
    /// The code, or the standard's name of the error.
    pub outcome: Result<SecretString, String>,
}

/// The answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    /// It has not the form of one.
    #[error("not an answer of an authorization server")]
    Malformed,
    /// It comes from another authorization server than the one that was asked (RFC 9207).
    #[error("the answer does not come from the authorization server that was asked")]
    OtherIssuer,
}

impl Callback {
    /// Reads a query. A parameter that stands there twice could be read in two ways.
    ///
    /// # Errors
    /// [`CallbackFault::Malformed`]
    pub fn parse(query: &str) -> Result<Self, CallbackFault> {
        let [mut state, mut issuer, mut code, mut error] = [const { None::<String> }; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "state" => &mut state,
                "iss" => &mut issuer,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            if place.is_some() || value.is_empty() || value.len() > VALUE_MAX {
                return Err(CallbackFault::Malformed);
            }
            *place = Some(value.into_owned());
        }
        let outcome = match (code, error) {
            (Some(code), None) => Ok(code.into()),
            (None, Some(error)) => Err(error_code(&error)),
            (Some(_), Some(_)) | (None, None) => return Err(CallbackFault::Malformed),
        };
        Ok(Self { state: state.ok_or(CallbackFault::Malformed)?.into(), issuer, outcome })
    }

    /// Compares who answers with who was asked, to the byte. Must come before anything else is done with the answer,
    /// an error included.
    ///
    /// # Errors
    /// [`CallbackFault::OtherIssuer`]
    pub fn from(&self, issuer: &str, names_itself: bool) -> Result<(), CallbackFault> {
        match &self.issuer {
            Some(found) if found == issuer => Ok(()),
            None if !names_itself => Ok(()),
            Some(_) | None => Err(CallbackFault::OtherIssuer),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_code_or_an_error_comes_back_and_nothing_stands_there_twice() {
        let good = Callback::parse("state=s&code=a%2Fb&iss=https%3A%2F%2Fa.example&session_state=x").expect("a code");
        assert_eq!(good.state.expose_secret(), "s");
        assert_eq!(good.outcome.as_ref().expect("a code").expose_secret(), "a/b");
        assert_eq!(good.issuer.as_deref(), Some("https://a.example"));
        let refused = Callback::parse("error=access_denied&state=s&error_description=x").expect("an error");
        assert_eq!(refused.outcome.err().as_deref(), Some("access_denied"));
        let odd = Callback::parse("error=%3Cscript%3E&state=s").expect("an error");
        assert_eq!(odd.outcome.err().as_deref(), Some("an unknown error"));
        for bad in [
            "",
            "code=a",
            "state=s",
            "state=s&code=",
            "state=&code=a",
            "state=s&code=a&code=b",
            "state=s&state=t&code=a",
            "state=s&code=a&error=access_denied",
            "state=s&code=a&iss=a&iss=b",
            &format!("state=s&code={}", "x".repeat(VALUE_MAX + 1)),
        ] {
            assert_eq!(Callback::parse(bad).err(), Some(CallbackFault::Malformed), "{bad}");
        }
    }

    #[test]
    fn an_answer_of_another_issuer_is_refused_and_so_is_one_that_hides_it() {
        let from = |iss: &str, names_itself| {
            Callback::parse(&format!("state=s&code=a{iss}")).expect("a code").from("https://a.example", names_itself)
        };
        assert_eq!(from("&iss=https://a.example", true), Ok(()));
        assert_eq!(from("&iss=https://a.example", false), Ok(()));
        assert_eq!(from("", false), Ok(()));
        for (iss, names_itself) in [
            ("", true),
            ("&iss=https://b.example", true),
            ("&iss=https://b.example", false),
            ("&iss=https://a.example/", true),
            ("&iss=https://A.example", true),
            ("&iss=https://a.example:443", true),
        ] {
            assert_eq!(from(iss, names_itself), Err(CallbackFault::OtherIssuer), "{iss}");
        }
    }
}
