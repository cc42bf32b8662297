//! Finding the shapes of the table.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::found::Found;
use super::rules::{MIDDLES, Middle, SHAPES, Shape};
use super::runs::Runs;

/// The table, arranged by what shapes begin with.
struct Begins {
    /// The shapes that begin with this byte.
    by_first: [Vec<Shape>; 256],
    /// A bit for each two bytes that one begins with: most places of a text need no more than a look at it.
    pairs: [u64; 1024],
}

static BEGINS: LazyLock<Begins> = LazyLock::new(|| {
    let of = |first: usize| SHAPES.iter().filter(|it| usize::from(it.begin.as_bytes()[0]) == first).copied().collect();
    let mut pairs = [0; 1024];
    for shape in SHAPES {
        let (word, bit) = place(shape.begin.as_bytes()[0], shape.begin.as_bytes()[1]);
        pairs[word] |= bit;
    }
    Begins { by_first: std::array::from_fn(of), pairs }
});

static SIGNS: LazyLock<Vec<(Finder<'static>, &'static Middle)>> =
    LazyLock::new(|| MIDDLES.iter().map(|it| (Finder::new(it.sign), it)).collect());

const fn place(first: u8, second: u8) -> (usize, u64) {
    let number = ((first as usize) << 8) | second as usize;
    (number / 64, 1 << (number % 64))
}

/// Finds what begins or has its middle as the table says.
pub fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut runs = Runs::of(bytes);
    let table = &*BEGINS;
    for (at, pair) in bytes.windows(2).enumerate() {
        let (word, bit) = place(pair[0], pair[1]);
        if table.pairs[word] & bit == 0 {
            continue;
        }
        let after_letter = at > 0 && bytes[at - 1].is_ascii_alphanumeric();
        for shape in &table.by_first[usize::from(pair[0])] {
            if (!after_letter || shape.is_distinct()) && bytes[at..].starts_with(shape.begin.as_bytes()) {
                let begin = at + shape.begin.len();
                let end = runs.end(shape.class, begin);
                if end - begin >= shape.least {
                    found.push(Found { range: at..end, rule: shape.rule });
                }
            }
        }
    }
    for (sign, it) in &*SIGNS {
        for at in sign.find_iter(bytes) {
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
