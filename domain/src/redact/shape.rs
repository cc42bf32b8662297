//! Finding the shapes of the table.

use std::sync::LazyLock;

use memchr::memmem;

use super::found::Found;
use super::rules::{MIDDLES, SHAPES, Shape};
use super::runs::Runs;

/// The table by first byte.
static BY_FIRST: LazyLock<[Vec<Shape>; 256]> = LazyLock::new(|| {
    let of = |first: usize| SHAPES.iter().filter(|it| usize::from(it.begin.as_bytes()[0]) == first).copied().collect();
    std::array::from_fn(of)
});

/// Finds what begins or has its middle as the table says.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut runs = Runs::of(bytes);
    let table = &*BY_FIRST;
    let mut after_letter = false;
    for (at, byte) in bytes.iter().enumerate() {
        for shape in &table[usize::from(*byte)] {
            if (!after_letter || shape.is_distinct()) && bytes[at..].starts_with(shape.begin.as_bytes()) {
                let begin = at + shape.begin.len();
                let end = runs.end(shape.class, begin);
                if end - begin >= shape.least {
                    found.push(Found { range: at..end, rule: shape.rule });
                }
            }
        }
        after_letter = byte.is_ascii_alphanumeric();
    }
    for it in MIDDLES {
        for at in memmem::find_iter(bytes, it.sign) {
            let (class, least) = it.before;
            // No further back than it must be: what is before may be as long as the text.
            let before = bytes[..at].iter().rev().take(least).take_while(|byte| class.has(**byte)).count();
            let begin = at + it.sign.len();
            let end = runs.end(it.after.0, begin);
            if before == least && end - begin >= it.after.1 {
                found.push(Found { range: at - before..end, rule: it.rule });
            }
        }
    }
}
