//! Secrets behind escapes: percent-encoded, or written as `\u0065` within a text.

use std::borrow::Cow;

use super::shapes;
use crate::guard::own_key::unescaped;

/// What stands for a text that shows a secret only once it is decoded. Its parts cannot be told any more.
pub const REPLACED: &str = "[redacted:encoded]";
/// How many layers are looked under.
const LAYERS: usize = 2;

/// Whether a text shows more secrets when escapes are taken off than the `plainly` many that it shows as it is.
pub fn shows_more(text: &str, plainly: usize) -> bool {
    let mut decoded = Cow::Borrowed(text);
    for _ in 0..LAYERS {
        let Some(next) = unescaped(&decoded) else { return false };
        if shapes(&next).len() > plainly {
            return true;
        }
        decoded = next.into();
    }
    false
}
