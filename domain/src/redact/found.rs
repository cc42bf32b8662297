//! What was found in a text, and the text without it.

use std::borrow::Cow;
use std::ops::Range;

/// The name of a rule, as it stands in `[redacted:<rule>]`.
pub type Rule = &'static str;

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where, in bytes; on the borders of characters.
    pub range: Range<usize>,
    /// By which rule.
    pub rule: Rule,
}

/// The text with `[redacted:<rule>]` for each; what overlaps is one, by the rule that begins first.
pub fn replaced(text: &str, mut found: Vec<Found>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|found| (found.range.start, std::cmp::Reverse(found.range.end)));
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut begun: Option<(usize, usize, Rule)> = None;
    let mut write = |(start, end, rule): (usize, usize, Rule)| {
        out.push_str(&text[copied..start]);
        out.push_str("[redacted:");
        out.push_str(rule);
        out.push(']');
        copied = end;
    };
    for Found { range, rule } in found {
        begun = match begun {
            Some((start, end, first)) if range.start < end => Some((start, end.max(range.end), first)),
            over => {
                over.into_iter().for_each(&mut write);
                Some((range.start, range.end, rule))
            }
        };
    }
    begun.into_iter().for_each(&mut write);
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_one_and_the_rest_stays() {
        let found = |range, rule| Found { range, rule };
        let text = "0123456789";
        assert_eq!(replaced(text, vec![]), text);
        let both = vec![found(4..6, "b"), found(1..5, "a"), found(8..10, "c")];
        assert_eq!(replaced(text, both), "0[redacted:a]67[redacted:c]");
        let beside = vec![found(2..4, "b"), found(0..2, "a"), found(2..3, "c")];
        assert_eq!(replaced(text, beside), "[redacted:a][redacted:b]456789");
    }
}
