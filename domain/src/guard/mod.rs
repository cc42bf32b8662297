//! The guard of arguments: secrets do not belong into tool calls, where models, servers and logs would see them. What is
//! refused is named by its place and never by its value.

mod glance;
pub(crate) mod names;
pub(crate) mod own_key;
mod place;
mod walk;

pub use names::{AllowedField, AllowedFields, InvalidAllowedField, normalized};
pub use own_key::holds_token;

use serde_json::value::RawValue;

use crate::key::TokenKeys;
use crate::mcp::Envelope;

/// Why an argument was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// Its name is that of a secret.
    Name,
    /// Its value is, or holds, one of our own keys.
    OwnKey,
}

/// An argument that was refused, by its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {}", match .why {
    Secret::Name => "looks like a secret by its name; give it to Keyrack as the server's credential, or let an admin allow the field",
    Secret::OwnKey => "holds an API key; keys never go into arguments",
})]
pub struct SecretArgument {
    /// A JSON Pointer (RFC 6901) into the arguments; of a very long one, beginning and end.
    pub path: String,
    /// Why.
    pub why: Secret,
}

/// Why a message was not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An argument is a secret.
    #[error(transparent)]
    Secret(#[from] SecretArgument),
    /// They cannot be read to their end, so that nobody knows what is in them: a number out of range, half of a surrogate
    /// pair, or nested too deep. A server that reads on would see what we did not.
    #[error(
        "the arguments are no JSON that can be read to its end: numbers in range, whole characters, nested less than 120 times"
    )]
    Unreadable,
}

/// Looks at the arguments of a tool call.
///
/// # Errors
/// [`Refused`] for the first argument that is refused.
pub fn inspect(arguments: &RawValue, allowed: &AllowedFields, keys: &TokenKeys) -> Result<(), Refused> {
    walk::walk(arguments.get(), allowed, keys)
}

/// Looks at a message, or each of a batch, on its way to a server: at what `tools/call` is given.
///
/// All of the message is looked at, since `arguments` could stand there twice, or in another case.
///
/// # Errors
/// [`Refused`] for the first argument that is refused, and for what cannot be read.
pub fn inspect_message(message: &Envelope<'_>, allowed: &AllowedFields, keys: &TokenKeys) -> Result<(), Refused> {
    let mut calls = message.messages().iter().filter(|message| message.method.as_deref() == Some("tools/call"));
    calls.try_for_each(|call| {
        if glance::sees_no_secret(call.text) {
            return Ok(());
        }
        walk::walk(call.text, allowed, keys).map_err(|refused| match refused {
            Refused::Secret(SecretArgument { path, why }) => {
                SecretArgument { path: within(&path).to_owned(), why }.into()
            }
            Refused::Unreadable => Refused::Unreadable,
        })
    })
}

/// A place in a message as a place in the arguments, or else in the parameters, if it is there.
fn within(place: &str) -> &str {
    let inside = |outer| place.strip_prefix(outer).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    inside("/params/arguments").or_else(|| inside("/params")).unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key::{IssuedToken, KeyPrefix};
    use crate::root::RootSecret;

    fn keys() -> TokenKeys {
        TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"))
    }

    fn found(arguments: &serde_json::Value) -> Option<(String, Secret)> {
        let raw = serde_json::value::to_raw_value(arguments).expect("JSON");
        match inspect(&raw, &AllowedFields::default(), &keys()) {
            Ok(()) => None,
            Err(Refused::Secret(refused)) => Some((refused.path, refused.why)),
            Err(Refused::Unreadable) => panic!("{arguments} can be read"),
        }
    }

    #[test]
    fn names_of_secrets_are_refused_in_any_spelling_and_depth() {
        for (arguments, path) in [
            (json!({"password": "x"}), "/password"),
            (json!({"API_Key": "x"}), "/API_Key"),
            (json!({"x-api-key": null}), "/x-api-key"),
            (json!({"a": [{"b": {"clientSecret": 1}}]}), "/a/0/b/clientSecret"),
            (json!({"db_password": "x"}), "/db_password"),
            (json!({"github-access-token": "x"}), "/github-access-token"),
            (json!({"auth": "Basic x"}), "/auth"),
            (json!({"auth": ["x"]}), "/auth"),
            (json!({"auth": {"token": "x"}}), "/auth/token"),
            (json!({"a/b~c": {"cookies": []}}), "/a~1b~0c/cookies"),
        ] {
            assert_eq!(found(&arguments), Some((path.to_owned(), Secret::Name)), "{arguments}");
        }
    }

    #[test]
    fn names_that_only_resemble_secrets_pass() {
        for arguments in [
            json!({"pageToken": "x", "nextToken": "y", "author": "z", "tokens": 5, "keys": ["a"], "secretary": "b"}),
            json!({"auth": {"kind": "none"}}),
            json!({"passport": "x", "monkey": "y", "credentialing": true}),
            json!("password"),
            json!(["token", "secret"]),
            json!({}),
        ] {
            assert_eq!(found(&arguments), None, "{arguments}");
        }
    }

    #[test]
    fn our_own_keys_are_refused_under_any_name_and_in_any_text() {
        let token = IssuedToken::issue(&KeyPrefix::default(), &keys()).expect("randomness").reveal();
        let token = crate::key::token::exposed(&token);
        for (arguments, path) in [
            (json!({"note": token}), "/note"),
            (json!({"a": ["x", {"b": format!("use {token}, please")}]}), "/a/1/b"),
            (json!({"header": format!("Bearer {token}")}), "/header"),
            (json!(token), ""),
            (json!({ token: 1 }), "/(a key)"),
        ] {
            assert_eq!(found(&arguments), Some((path.to_owned(), Secret::OwnKey)));
        }
        let mut typo = token.to_owned();
        typo.replace_range(20..21, if &typo[20..21] == "x" { "y" } else { "x" });
        assert_eq!(found(&json!({"note": typo})), None, "the checksum tells a key from a look-alike");
    }

    #[test]
    fn an_allowed_field_passes_and_its_children_do_not() {
        let allowed: AllowedFields =
            ["password", "db.token"].iter().map(|name| name.parse().expect("a name")).collect();
        let check = |arguments: serde_json::Value| {
            let raw = serde_json::value::to_raw_value(&arguments).expect("JSON");
            inspect(&raw, &allowed, &keys()).err().map(path)
        };
        assert_eq!(check(json!({"pass_word": "x"})), None);
        assert_eq!(check(json!({"user": {"password": "x"}})), None);
        assert_eq!(check(json!({"db": {"token": "x"}})), None);
        assert_eq!(check(json!({"token": "x"})), Some("/token".to_owned()));
        assert_eq!(check(json!({"password": {"secret": "x"}})), Some("/password/secret".to_owned()));
    }

    fn path(refused: Refused) -> String {
        match refused {
            Refused::Secret(refused) => refused.path,
            Refused::Unreadable => "unreadable".to_owned(),
        }
    }

    fn check(body: &str) -> Option<String> {
        let message = Envelope::read(body.as_bytes()).unwrap_or_else(|fault| panic!("{body}: {fault}"));
        inspect_message(&message, &AllowedFields::default(), &keys()).err().map(path)
    }

    #[test]
    fn of_a_message_only_what_a_tool_call_is_given_is_looked_at() {
        let refused = Some("/token".to_owned());
        assert_eq!(check(r#"{"method":"tools/call","params":{"name":"x","arguments":{"token":1}}}"#), refused);
        assert_eq!(check(r#"{"params":{"arguments":{"token":1}},"method":"tools\/call"}"#), refused);
        assert_eq!(check(r#"[{"method":"ping"},{"method":"tools/call","params":{"arguments":{"token":1}}}]"#), refused);
        for other in [
            r#"{"method":"tools/call","params":{"_meta":{"progressToken":1},"name":"x"}}"#,
            r#"{"method":"prompts/get","params":{"arguments":{"token":1}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"token":"x"}}"#,
            r#"[{"method":"tools/call","params":{"name":"x"}},{"method":"ping","params":{"token":1}}]"#,
        ] {
            assert_eq!(check(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_server_could_read_otherwise_is_looked_at_as_a_whole() {
        for (message, path) in [
            (r#"{"method":"tools/call","params":{"arguments":{},"arguments":{"token":1}}}"#, "/token"),
            (r#"{"method":"tools/call","params":{"Arguments":{"token":1}}}"#, "/Arguments/token"),
            (r#"{"method":"tools/call","params":{"argumentsX":{"token":1}}}"#, "/argumentsX/token"),
            (r#"{"method":"tools/call","params":["x",{"token":1}]}"#, "/1/token"),
            (r#"{"method":"tools/call","arguments":{"token":1}}"#, "/arguments/token"),
        ] {
            assert_eq!(check(message), Some(path.to_owned()), "{message}");
        }
    }

    #[test]
    fn arguments_that_cannot_be_read_to_their_end_do_not_pass() {
        let call = |arguments: &str| format!(r#"{{"method":"tools/call","params":{{"arguments":{arguments}}}}}"#);
        let deep = format!(r#"{{"a":{}{},"password":1}}"#, "[".repeat(200), "]".repeat(200));
        for message in [call(r#"{"a":1e999,"password":"x"}"#), call(r#"{"a":"\ud800","password":"x"}"#), call(&deep)] {
            assert_eq!(check(&message), Some("unreadable".to_owned()), "{message}");
        }
        let nested = |depth: usize| call(&format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(check(&nested(120)), None, "as deep as the refusal says");
    }
}
