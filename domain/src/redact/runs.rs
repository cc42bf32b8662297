//! Where runs of a class of characters end.

use super::rules::Class;

/// Remembers the last run of each class. Whoever asks for the end of a run again, from a later place in it, is not made to
/// wait for a second look at it; so that all looks together take time in proportion to the text.
pub struct Runs<'a> {
    text: &'a [u8],
    known: [(usize, usize); Class::COUNT],
}

impl<'a> Runs<'a> {
    pub const fn of(text: &'a [u8]) -> Self {
        Self { text, known: [(0, 0); Class::COUNT] }
    }

    /// The end of the run that begins here, or goes on here.
    pub fn end(&mut self, class: Class, from: usize) -> usize {
        let known = &mut self.known[class as usize];
        if !(known.0..known.1).contains(&from) {
            let rest = &self.text[from..];
            *known = (from, from + rest.iter().position(|byte| !class.has(*byte)).unwrap_or(rest.len()));
        }
        known.1
    }
}
