//! References to earlier results, in arguments and expected values: `{{steps.NAME.result/POINTER}}`.
//!
//! A text that is one reference and nothing else becomes the value that stands there, with its type. Within a longer
//! text a reference becomes text: a string as it is, anything else as JSON.

use super::pointer::{InvalidPointer, Pointer};
use super::step::StepName;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// One reference: the place in the result of an earlier step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The step.
    pub step: StepName,
    /// Where in its answer, as expectations look for it.
    pub at: Pointer,
}

/// Braces around something that is no reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// `{{` without its end.
    #[error("`{{{{` without `}}}}`; a reference is {{{{steps.NAME.result/POINTER}}}}")]
    Unclosed,
    /// Something else between the braces.
    #[error(
        "not a reference; write {{{{steps.NAME.result/POINTER}}}}, for example {{{{steps.search.result/structuredContent/id}}}}"
    )]
    Form,
    /// No pointer after `result`.
    #[error(transparent)]
    Pointer(#[from] InvalidPointer),
}

/// A text as its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it stands.
    Text(&'a str),
    /// To be replaced.
    Reference(Reference),
}

/// The parts of a text, in order; what comes after a fault is not read.
#[derive(Debug, Clone)]
pub struct References<'a> {
    rest: &'a str,
}

impl<'a> References<'a> {
    /// Reads a text.
    #[must_use]
    pub const fn of(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for References<'a> {
    type Item = Result<Part<'a>, InvalidReference>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(inner) = self.rest.strip_prefix(OPEN) else {
            let end = self.rest.find(OPEN).unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Ok(Part::Text(text)));
        };
        let Some((inner, rest)) = inner.split_once(CLOSE) else {
            self.rest = "";
            return Some(Err(InvalidReference::Unclosed));
        };
        self.rest = rest;
        let reference = read(inner.trim());
        if reference.is_err() {
            self.rest = "";
        }
        Some(reference.map(Part::Reference))
    }
}

fn read(inner: &str) -> Result<Reference, InvalidReference> {
    let named = inner.strip_prefix("steps.").ok_or(InvalidReference::Form)?;
    let (step, at) = named.split_once(".result").ok_or(InvalidReference::Form)?;
    let step = step.parse().map_err(|_| InvalidReference::Form)?;
    if !at.is_empty() && !at.starts_with('/') {
        return Err(InvalidReference::Form);
    }
    Ok(Reference { step, at: at.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<Vec<Part<'_>>, InvalidReference> {
        References::of(text).collect()
    }

    fn reference(step: &str, at: &str) -> Part<'static> {
        Part::Reference(Reference { step: step.parse().expect("a name"), at: at.parse().expect("a pointer") })
    }

    #[test]
    fn a_text_is_read_as_its_parts() {
        assert_eq!(parts(""), Ok(vec![]));
        assert_eq!(parts("plain } text {"), Ok(vec![Part::Text("plain } text {")]));
        assert_eq!(parts("{{steps.find.result/content/0/text}}"), Ok(vec![reference("find", "/content/0/text")]));
        assert_eq!(parts("{{ steps.a.result }}"), Ok(vec![reference("a", "")]));
        assert_eq!(
            parts("of {{steps.a.result/x}} and{{steps.b-2.result/y~1z}}."),
            Ok(vec![
                Part::Text("of "),
                reference("a", "/x"),
                Part::Text(" and"),
                reference("b-2", "/y~1z"),
                Part::Text("."),
            ])
        );
    }

    #[test]
    fn braces_around_something_else_are_a_fault() {
        assert_eq!(parts("{{steps.a.result"), Err(InvalidReference::Unclosed));
        for text in ["{{}}", "{{a}}", "{{steps.a}}", "{{steps.A B.result}}", "{{steps.a.resultx}}", "{{run.id}}"] {
            assert_eq!(parts(text), Err(InvalidReference::Form), "{text}");
        }
        assert_eq!(parts("{{steps.a.result/~}}"), Err(InvalidReference::Pointer(InvalidPointer::Escape)));
    }
}
