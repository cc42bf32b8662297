//! Keyset pages: a limit and the position after which the next page begins.

use std::num::NonZeroU16;

/// Most items a page can have.
pub const LIMIT_MAX: u16 = 200;
/// Items on a page when the caller does not say.
pub const LIMIT_DEFAULT: u16 = 50;

/// How many items, 1 to [`LIMIT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(NonZeroU16);

/// The limit is zero or above [`LIMIT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be between 1 and {LIMIT_MAX}")]
pub struct InvalidLimit;

impl Limit {
    /// A limit within the allowed range.
    ///
    /// # Errors
    /// [`InvalidLimit`] outside 1 to [`LIMIT_MAX`].
    pub fn new(limit: u16) -> Result<Self, InvalidLimit> {
        NonZeroU16::new(limit).filter(|limit| limit.get() <= LIMIT_MAX).map(Self).ok_or(InvalidLimit)
    }

    /// The number of items.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(NonZeroU16::new(LIMIT_DEFAULT).unwrap_or(NonZeroU16::MIN))
    }
}

/// Which page: at most `limit` items that stand after `after` in the list's order.
#[derive(Debug, Clone, Default)]
pub struct PageRequest<K> {
    /// Most items to return.
    pub limit: Limit,
    /// The key of the last item of the page before, or none for the first page.
    pub after: Option<K>,
}

/// One page, and where the next one begins.
#[derive(Debug, Clone)]
pub struct Page<T, K> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The key to ask the next page with; none when this is the last.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Makes a page of rows that were read with one row more than the limit, so that the end is known without a count.
    pub fn of_overread(mut rows: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Self {
        let more = rows.len() > usize::from(limit.get());
        rows.truncate(usize::from(limit.get()));
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_1_to_200() {
        assert!(Limit::new(0).is_err());
        assert!(Limit::new(201).is_err());
        assert_eq!(Limit::new(200).map(Limit::get), Ok(200));
    }

    #[test]
    fn the_last_page_has_no_next() {
        let limit = Limit::new(2).expect("valid");
        assert_eq!(Page::of_overread(vec![1, 2, 3], limit, |n| *n).next, Some(2));
        assert_eq!(Page::of_overread(vec![1, 2], limit, |n| *n).next, None);
    }
}
