//! JSON in one form, so that what means the same has the same hash: the names of objects sorted by their bytes, no blanks.
//! Numbers stay as they were read; arrays keep their order, which means something in most of them.

use std::io::Write;

use serde_json::Value;

/// Feeds a value to a hasher.
pub(super) fn hash_into(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_bytes());
            hasher.update(b"{");
            for (name, value) in fields {
                scalar(hasher, name);
                hasher.update(b":");
                hash_into(hasher, value);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash_into(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(hasher, value),
    }
}

fn scalar(hasher: &mut blake3::Hasher, value: &(impl serde::Serialize + ?Sized)) {
    struct Into<'a>(&'a mut blake3::Hasher);
    impl Write for Into<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Into(hasher), value).expect("a scalar is JSON, and a hasher takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(json: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hash_into(&mut hasher, &serde_json::from_str(json).expect("json"));
        hasher.finalize()
    }

    #[test]
    fn the_order_of_names_and_blanks_mean_nothing() {
        assert_eq!(hash(r#"{"a":1,"b":{"d":[],"c":null}}"#), hash(r#"{ "b": {"c": null, "d": []}, "a": 1 }"#));
    }

    #[test]
    fn everything_else_means_something() {
        let all = [
            "null",
            "0",
            "\"\"",
            "false",
            "[]",
            "{}",
            "[[]]",
            "[null]",
            r#"["a","b"]"#,
            r#"["b","a"]"#,
            r#"["a,b"]"#,
            r#"{"a":"b"}"#,
            r#"{"a":["b"]}"#,
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            "1",
            "\"1\"",
            r#""\"""#,
        ];
        let hashes: std::collections::HashSet<_> = all.iter().map(|json| hash(json)).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
