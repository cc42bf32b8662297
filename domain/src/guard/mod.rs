//! The guard of arguments: secrets do not belong into tool calls, where models, servers and logs would see them. What is
//! refused is named by its place and never by its value.

mod names;
mod walk;

pub use names::{AllowedField, AllowedFields, InvalidAllowedField, normalized};

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::key::TokenKeys;

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
    /// A JSON Pointer (RFC 6901) into the arguments.
    pub path: String,
    /// Why.
    pub why: Secret,
}

/// Looks at the arguments of a tool call.
///
/// # Errors
/// [`SecretArgument`] for the first one that is refused.
pub fn inspect(arguments: &RawValue, allowed: &AllowedFields, keys: &TokenKeys) -> Result<(), SecretArgument> {
    walk::walk(arguments.get(), allowed, keys)
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// Looks at a JSON-RPC message, or a batch of them, on its way to a server: the arguments of `tools/call`.
///
/// What cannot be read as such a message but is JSON, as with a name given twice, is looked at as a whole, since the
/// server may read it otherwise than we do. What is no JSON is no call either and is the server's to refuse.
///
/// # Errors
/// [`SecretArgument`] for the first argument that is refused.
pub fn inspect_message(body: &[u8], allowed: &AllowedFields, keys: &TokenKeys) -> Result<(), SecretArgument> {
    let Ok(text) = std::str::from_utf8(body) else { return Ok(()) };
    if text.trim_start().starts_with('[') {
        return match serde_json::from_str::<Vec<Message<'_>>>(text) {
            Ok(batch) => batch.iter().try_for_each(|message| inspect_call(message, allowed, keys)),
            Err(_) => walk::walk(text, allowed, keys),
        };
    }
    match serde_json::from_str::<Message<'_>>(text) {
        Ok(message) => inspect_call(&message, allowed, keys),
        Err(_) => walk::walk(text, allowed, keys),
    }
}

fn inspect_call(message: &Message<'_>, allowed: &AllowedFields, keys: &TokenKeys) -> Result<(), SecretArgument> {
    let (Some("tools/call"), Some(params)) = (message.method.as_deref(), message.params) else { return Ok(()) };
    match serde_json::from_str::<Call<'_>>(params.get()) {
        Ok(Call { arguments: Some(arguments) }) => inspect(arguments, allowed, keys),
        Ok(Call { arguments: None }) => Ok(()),
        Err(_) => walk::walk(params.get(), allowed, keys),
    }
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
        inspect(&raw, &AllowedFields::default(), &keys()).err().map(|refused| (refused.path, refused.why))
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
            inspect(&raw, &allowed, &keys()).err().map(|refused| refused.path)
        };
        assert_eq!(check(json!({"pass_word": "x"})), None);
        assert_eq!(check(json!({"user": {"password": "x"}})), None);
        assert_eq!(check(json!({"db": {"token": "x"}})), None);
        assert_eq!(check(json!({"token": "x"})), Some("/token".to_owned()));
        assert_eq!(check(json!({"password": {"secret": "x"}})), Some("/password/secret".to_owned()));
    }

    #[test]
    fn of_a_message_only_the_arguments_of_a_tool_call_are_looked_at() {
        let check = |body: &str| {
            inspect_message(body.as_bytes(), &AllowedFields::default(), &keys()).err().map(|refused| refused.path)
        };
        assert_eq!(
            check(r#"{"method":"tools/call","params":{"name":"x","arguments":{"token":1}}}"#),
            Some("/token".into())
        );
        assert_eq!(check(r#"{"params":{"arguments":{"token":1}},"method":"tools\/call"}"#), Some("/token".into()));
        assert_eq!(
            check(r#"[{"method":"ping"},{"method":"tools/call","params":{"arguments":{"token":1}}}]"#),
            Some("/token".into())
        );
        for other in [
            r#"{"method":"tools/call","params":{"_meta":{"progressToken":1},"name":"x"}}"#,
            r#"{"method":"prompts/get","params":{"arguments":{"token":1}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"token":"x"}}"#,
            "no json",
            "",
        ] {
            assert_eq!(check(other), None, "{other}");
        }
        // Which of two the server would take is not ours to guess.
        let twice = r#"{"method":"ping","method":"tools/call","params":{"arguments":{"token":1}}}"#;
        assert_eq!(check(twice), Some("/params/arguments/token".into()));
        let twice = r#"{"method":"tools/call","params":{"arguments":{},"arguments":{"token":1}}}"#;
        assert_eq!(check(twice), Some("/arguments/token".into()));
    }
}
