//! The words of an intent that say what it is about: what is left when names, numbers, endings and small words are gone.
//! Without a model and without a dictionary, so that the same text always has the same words.

use smol_str::SmolStr;

/// Most words that count; those that come later say little new.
pub const WORDS_MAX: usize = 24;

/// English words that say nothing of what somebody wants.
const SMALL: [&str; 97] = [
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "before", "but",
    "by", "can", "could", "customer", "did", "do", "does", "each", "for", "from", "get", "give", "had", "has", "have",
    "help", "her", "him", "his", "how", "i", "id", "if", "in", "into", "is", "it", "its", "just", "let", "like", "may",
    "me", "my", "named", "need", "now", "of", "on", "one", "or", "our", "out", "person", "please", "see", "she",
    "should", "so", "some", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to",
    "too", "try", "up", "us", "use", "user", "very", "want", "was", "we", "what", "when", "where", "which", "who",
    "will", "with", "would", "you", "your",
];

/// Different words of an intent, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Words(Vec<SmolStr>);

impl Words {
    /// The words of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut words: Vec<SmolStr> = Vec::new();
        for part in without_quotes(text).split_whitespace() {
            // An address, or something with a number in it: a date, an amount, an id.
            if part.contains("://") || part.contains('@') || part.contains(|c: char| c.is_numeric()) {
                continue;
            }
            // "don't" and "user's" are one word each.
            let part: String = part.chars().filter(|c| !matches!(c, '\'' | '’')).flat_map(char::to_lowercase).collect();
            for word in part.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                for word in if word.contains(is_unspaced) { pairs(word) } else { vec![word.to_owned()] } {
                    if SMALL.binary_search(&word.as_str()).is_ok() {
                        continue;
                    }
                    let stem = stem(&word);
                    if words.len() < WORDS_MAX && !words.iter().any(|known| known == stem) {
                        words.push(stem.into());
                    }
                }
            }
        }
        words.sort_unstable();
        Self(words)
    }

    /// The words that a store holds.
    #[must_use]
    pub fn of_stored(text: &str) -> Self {
        let mut words: Vec<SmolStr> = text.split(' ').filter(|word| !word.is_empty()).map(SmolStr::new).collect();
        words.sort_unstable();
        words.dedup();
        Self(words)
    }

    /// Their form in the store.
    #[must_use]
    pub fn stored(&self) -> String {
        self.0.join(" ")
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &SmolStr> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The text without what stands in quotation marks, which names one thing among many of its kind, and without the marks of
/// what was redacted.
fn without_quotes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let close = match first {
            '"' => Some('"'),
            '`' => Some('`'),
            '“' => Some('”'),
            '„' => Some('“'),
            '«' => Some('»'),
            // Between letters it is an apostrophe.
            '\'' if !before.is_alphanumeric() => Some('\''),
            '‘' => Some('’'),
            '[' if after.starts_with("redacted:") => Some(']'),
            _ => None,
        };
        if let Some((length, close)) = close.and_then(|close| Some((after.find(close)?, close))) {
            kept.push(' ');
            rest = &after[length + close.len_utf8()..];
            before = ' ';
        } else {
            kept.push(first);
            rest = after;
            before = first;
        }
    }
    kept
}

/// A letter of a script that writes no blanks between words.
const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2ffff}')
}

/// Neighbouring letters, two by two, in place of words.
fn pairs(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < 2 {
        return vec![word.to_owned()];
    }
    letters.windows(2).map(|pair| pair.iter().collect()).collect()
}

/// The word without the endings of number and tense: `invoices`, `invoicing` and `invoice` are one. What is left need not
/// be a word.
fn stem(word: &str) -> &str {
    if !word.is_ascii() {
        return word;
    }
    let mut stem = word;
    for (ending, shortest) in [("ies", 5), ("es", 5), ("s", 4)] {
        if stem.len() >= shortest
            && let Some(rest) = stem.strip_suffix(ending)
            && !rest.ends_with(['s', 'u', 'i'])
        {
            stem = rest;
            break;
        }
    }
    for (ending, shortest) in [("ing", 6), ("ed", 5)] {
        if stem.len() >= shortest
            && let Some(rest) = stem.strip_suffix(ending)
        {
            stem = rest;
            break;
        }
    }
    // "summary" and "summaries", "note" and "noting".
    if stem.len() > 3 {
        stem = stem.strip_suffix(['e', 'y']).unwrap_or(stem);
    }
    // "plan" and "planning", and then "add" as well.
    let bytes = stem.as_bytes();
    if bytes.len() > 2 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2] {
        stem = &stem[..stem.len() - 1];
    }
    stem
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(texts: &[&str]) {
        let words: Vec<Words> = texts.iter().map(|text| Words::of(text)).collect();
        assert!(words.windows(2).all(|pair| pair[0] == pair[1]), "{words:?}");
        assert!(!words[0].is_empty(), "{texts:?}");
    }

    #[test]
    fn the_small_words_are_sorted_for_the_search() {
        assert!(SMALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn case_endings_order_and_small_words_make_no_difference() {
        same(&["Find the invoices", "find an Invoice", "please find my invoice.", "invoice: finding"]);
        same(&["Plan the meeting", "planning meetings", "I want to plan a meeting"]);
        same(&["add notes", "adding a note", "Added note!", "note, adds"]);
        same(&["summary", "summaries"]);
        same(&["ÄNDERN", "ändern"]);
    }

    #[test]
    fn names_in_quotes_numbers_addresses_and_redacted_parts_make_no_difference() {
        same(&[
            "close the ticket",
            "close ticket 4711",
            "close ticket PROJ-12",
            "close the ticket \"printer on fire\"",
            "close the ticket “printer on fire”",
            "close the ticket 'printer'",
            "close the ticket https://example.com/t/7 for ann@example.com",
            "close the ticket [redacted:jwt]",
        ]);
        assert_ne!(Words::of("close the user's tickets now"), Words::of("close"), "an apostrophe opens no quotation");
        assert_eq!(Words::of("say \"hello"), Words::of("say hello"), "what is not closed is no quotation");
    }

    #[test]
    fn what_says_nothing_has_no_words() {
        for text in ["", "  ", "I want to", "42", "\"x\"", "…"] {
            assert!(Words::of(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn scripts_without_blanks_are_read_in_pairs() {
        let (a, b) = (Words::of("查找发票"), Words::of("请查找发票"));
        assert!(a.len() == 3 && a.iter().all(|pair| b.iter().any(|other| other == pair)), "{a:?} {b:?}");
    }

    proptest! {
        #[test]
        fn words_are_bounded_and_round_trip(text in ".{0,400}") {
            let words = Words::of(&text);
            prop_assert!(words.len() <= WORDS_MAX);
            prop_assert_eq!(Words::of_stored(&words.stored()), words);
        }
    }
}
