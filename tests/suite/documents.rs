//! The committed documents are what the code makes, and the API document says what clients need.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use api::command::openapi::documents;
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&api::openapi::text().expect("a document")).expect("JSON")
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").iter();
            methods.map(|(method, operation)| (method.clone(), path.clone(), operation.clone())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn committed_documents_are_what_the_code_makes() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (path, text) in documents().expect("documents") {
        let committed = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(committed == text, "{path} is stale: run `cargo run -- openapi` and commit it");
    }
}

/// Schemas have the names of their types, and of two with one name the document would show one, for both.
#[test]
fn no_two_types_of_the_document_have_one_name() {
    let mut found: HashMap<String, PathBuf> = HashMap::new();
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../api/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                if !(line.starts_with("#[derive(") && line.contains("ToSchema")) {
                    continue;
                }
                let declared = lines.find(|line| line.contains("struct ") || line.contains("enum "));
                let mut words = declared.expect("a type").split([' ', '<', '(']);
                words.find(|word| matches!(*word, "struct" | "enum"));
                let name = words.next().expect("a name").to_owned();
                if let Some(other) = found.insert(name.clone(), path.clone()) {
                    panic!("{name} is in {} and in {}", other.display(), path.display());
                }
            }
        }
    }
    assert!(found.len() > 100, "{} types", found.len());
}

#[test]
fn both_key_headers_and_the_access_token_are_security_schemes() {
    let schemes = document()["components"]["securitySchemes"].clone();
    assert_eq!((&schemes["api_key"]["in"], &schemes["api_key"]["name"]), (&"header".into(), &"X-API-Key".into()));
    for bearer in ["api_key_bearer", "access_token"] {
        assert_eq!((&schemes[bearer]["type"], &schemes[bearer]["scheme"]), (&"http".into(), &"bearer".into()));
    }
}

#[test]
fn every_operation_has_an_id_a_tag_a_summary_and_its_errors() {
    let document = document();
    let mut ids = HashSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        assert!(id.contains('_') || id == "refresh", "{method} {path} has the id {id:?}");
        assert!(ids.insert(id.clone()), "{id} twice");
        assert!(operation["tags"][0].is_string() && operation["summary"].is_string(), "{id}");
        let secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        if secured {
            for status in ["400", "401", "403", "500", "503"] {
                assert!(operation["responses"][status].is_object(), "{id} does not tell of {status}");
            }
        }
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert_eq!(secured, !matches!(tag, "auth" | "system"), "{id} of {tag}");
        if operation["requestBody"].is_object() {
            assert!(operation["responses"]["413"].is_object(), "{id} does not tell of 413");
        }
    }
    assert!(ids.len() >= 20, "{ids:?}");
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap_or_default();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn nothing_in_the_documents_names_the_alias_paths() {
    for (_, path, _) in operations(&document()) {
        assert!(!path.starts_with("/api/") || path.starts_with("/api/v1/"), "{path}");
    }
}
