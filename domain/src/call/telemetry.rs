//! What a model said of a call beside the tool's arguments.

/// What a model said of a call. Its texts are bounded by whoever reads them, and redacted where they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telemetry {
    /// What the person wants in the end.
    pub intent: Option<String>,
    /// What led here.
    pub context: Option<String>,
    /// What did not go well.
    pub frustration: Option<String>,
}

/// What models write where nothing is to be said.
const NOTHING: [&str; 12] =
    ["", "0", "false", "low", "n/a", "na", "nil", "no", "none", "not applicable", "nothing", "null"];

impl Telemetry {
    /// Whether it says that something did not go well. Models fill the field in politely: a word for nothing is none.
    #[must_use]
    pub fn is_frustrated(&self) -> bool {
        let said = self.frustration.as_deref().unwrap_or_default();
        let said = said.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '!' | '-')).to_lowercase();
        !NOTHING.contains(&said.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_nothing_is_no_frustration() {
        let frustrated =
            |text: &str| Telemetry { frustration: Some(text.to_owned()), ..Telemetry::default() }.is_frustrated();
        for nothing in ["", " ", "None.", "n/a", "N/A", "-", "no", "false", "0", "Nothing!", "low"] {
            assert!(!frustrated(nothing), "{nothing}");
        }
        for something in ["the search finds nothing", "3", "true", "no results twice", "high"] {
            assert!(frustrated(something), "{something}");
        }
        assert!(!Telemetry::default().is_frustrated());
    }
}
