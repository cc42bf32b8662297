//! Where a value stands in a message, and how that is told.

use crate::redact;

/// Most characters of one name that are told: names are the caller's, and can be as long as a message.
const NAME: usize = 64;
/// Most characters of a place that are told.
const PLACE: usize = 256;
/// Stands for what is left out.
const CUT: char = '…';

/// Where a value stands: a chain on the stack, made into a text only when something was found.
pub enum Place<'a> {
    /// The value as a whole.
    Root,
    /// In an object, under a name.
    Name(&'a Place<'a>, &'a str),
    /// In a list.
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// A JSON Pointer (RFC 6901). Long names, and the middle of a long place, are left out; what looks like a secret in a
    /// name is redacted.
    pub fn pointer(&self) -> String {
        let mut steps = vec![];
        let mut place = self;
        loop {
            place = match place {
                Self::Root => break,
                Self::Name(parent, name) => {
                    steps.push(told(name));
                    parent
                }
                Self::Index(parent, index) => {
                    steps.push(index.to_string());
                    parent
                }
            };
        }
        let whole: String = steps.iter().rev().flat_map(|step| ["/", step.as_str()]).collect();
        let length = whole.chars().count();
        if length <= PLACE {
            return whole;
        }
        // The end says most: the name that was refused.
        let half = PLACE / 2;
        whole.chars().take(half).chain([CUT]).chain(whole.chars().skip(length - half)).collect()
    }

    /// The names on the way, outermost first.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![];
        let mut place = self;
        loop {
            place = match place {
                Self::Root => break,
                Self::Name(parent, name) => {
                    names.push(*name);
                    parent
                }
                Self::Index(parent, _) => parent,
            };
        }
        names.reverse();
        names
    }
}

fn told(name: &str) -> String {
    // Redacted before it is cut: half of a secret is recognized by nobody.
    let name = redact::text(name);
    let (mut kept, rest) =
        name.char_indices().nth(NAME).map_or((name.to_string(), false), |(at, _)| (name[..at].to_owned(), true));
    if rest {
        kept.push(CUT);
    }
    kept.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_json_pointer() {
        let outer = Place::Name(&Place::Root, "a/b~c");
        let item = Place::Index(&outer, 7);
        let inner = Place::Name(&item, "");
        assert_eq!(inner.pointer(), "/a~1b~0c/7/");
        assert_eq!(inner.names(), ["a/b~c", ""]);
        assert_eq!(Place::Root.pointer(), "");
    }

    #[test]
    fn however_long_and_deep_names_are_a_place_stays_short_and_has_its_end() {
        let long = format!("{}password", "ü/".repeat(100_000));
        let mut shown = Place::Name(&Place::Root, &long).pointer();
        assert!(shown.chars().count() <= 2 * NAME + 2 && shown.ends_with(CUT), "{shown}");
        let places: [Place<'_>; 4] = std::array::from_fn(|_| Place::Name(&Place::Root, &long));
        let nested = Place::Name(&places[0], "b");
        assert!(nested.pointer().ends_with("…/b"));
        fn deep(place: &Place<'_>, levels: usize) -> String {
            if levels == 0 {
                Place::Name(place, "pwd").pointer()
            } else {
                deep(&Place::Name(place, "level"), levels - 1)
            }
        }
        shown = deep(&Place::Root, 120);
        assert!(
            shown.chars().count() == PLACE + 1 && shown.starts_with("/level/") && shown.ends_with("/pwd"),
            "{shown}"
        );
    }

    #[test]
    fn a_secret_in_a_name_is_not_told() {
        let key = format!("sk_live_{}", "4eC39HqLyjWDarjtT1zdp7dc");
        let outer = Place::Name(&Place::Root, &key);
        let shown = Place::Name(&outer, "password").pointer();
        assert!(!shown.contains("4eC39HqLyjWDarjtT1zdp7dc") && shown.ends_with("/password"), "{shown}");
    }
}
