//! Regular expressions of expectations: bounded when they are written, and linear in the text when they are used.

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
pub const PATTERN_MAX: usize = 1000;
/// How much memory a compiled pattern may take, in bytes: `\w{1000}` is short, and large.
const COMPILED_MAX: usize = 1 << 20;
/// How deep groups may stand in one another.
const NEST_MAX: u32 = 50;

/// A pattern that can be used. The syntax is that of the crate `regex`: no look-around and no references back, so that no
/// text takes long.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// The text is no such pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Longer than [`PATTERN_MAX`].
    #[error("a pattern has at most {PATTERN_MAX} bytes")]
    TooLong,
    /// Short, and large when compiled.
    #[error("the pattern takes too much memory; repeat less")]
    TooLarge,
    /// No regular expression; what is wrong, in one line.
    #[error("is no regular expression: {0}")]
    Syntax(String),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`InvalidPattern`]
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > PATTERN_MAX {
            return Err(InvalidPattern::TooLong);
        }
        match RegexBuilder::new(text).size_limit(COMPILED_MAX).dfa_size_limit(COMPILED_MAX).nest_limit(NEST_MAX).build()
        {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err(InvalidPattern::TooLarge),
            // The last line says what; those before show where.
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                Err(InvalidPattern::Syntax(last.strip_prefix("error: ").unwrap_or(last).to_owned()))
            }
        }
    }

    /// Whether it is found in a text, anywhere.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_anywhere_unless_it_says_where() {
        let found = |pattern: &str, text: &str| Pattern::new(pattern).expect("a pattern").is_in(text);
        assert!(found("b+c", "abbbcd"));
        assert!(!found("^b", "ab"));
        assert!(found("(?i)ÄRGER", "kein ärger"));
    }

    #[test]
    fn what_is_no_pattern_or_grows_too_large_is_refused() {
        assert!(matches!(Pattern::new("a("), Err(InvalidPattern::Syntax(what)) if what == "unclosed group"));
        assert!(matches!(Pattern::new("(?=a)"), Err(InvalidPattern::Syntax(_))), "look-around");
        assert!(matches!(Pattern::new(r"(a)\1"), Err(InvalidPattern::Syntax(_))), "a reference back");
        assert_eq!(Pattern::new(r"(\w{100}){100}").err(), Some(InvalidPattern::TooLarge));
        assert!(matches!(Pattern::new(&"(".repeat(100)), Err(InvalidPattern::Syntax(_))));
        assert_eq!(Pattern::new(&"a".repeat(PATTERN_MAX + 1)).err(), Some(InvalidPattern::TooLong));
        assert!(Pattern::new(&"a".repeat(PATTERN_MAX)).is_ok());
    }
}
