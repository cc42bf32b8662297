//! `keyrack openapi [--check]`: the committed documents that are made from code.

use std::path::Path;

use crate::{code, openapi, settings};

/// A committed document: its path from the repository's root, and what it must say.
type Document = (&'static str, String);

/// Every committed document that is made from code.
///
/// # Errors
/// When the API document cannot be written as JSON.
pub fn documents() -> Result<Vec<Document>, serde_json::Error> {
    Ok(vec![
        ("openapi/openapi.json", openapi::text()?),
        ("docs/errors.md", code::document()),
        ("docs/settings.md", settings::document()),
    ])
}

/// Writes the documents under `root`, or with `check` only compares them.
///
/// # Errors
/// Every document that differs or cannot be written.
pub fn run(root: &Path, check: bool) -> Result<(), String> {
    let mut faults = Vec::new();
    for (path, text) in documents().map_err(|error| error.to_string())? {
        let file = root.join(path);
        if check {
            match std::fs::read_to_string(&file) {
                Ok(committed) if committed == text => println!("{path} is up to date"),
                Ok(_) => faults.push(format!("{path} is not what the code makes; run `keyrack openapi` and commit it")),
                Err(error) => {
                    faults.push(format!("{path} cannot be read: {error}; run this from the repository's root"));
                }
            }
        } else {
            let written =
                file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, text));
            match written {
                Ok(()) => println!("wrote {path}"),
                Err(error) => faults.push(format!("{path} cannot be written: {error}")),
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}
