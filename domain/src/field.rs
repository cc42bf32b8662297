//! What is wrong with a request's fields, all at once, in words for the person who sent it.

/// Most wrong fields that are told at once: a list of a million wrong entries must not become a million answers.
pub const FIELDS_MAX: usize = 100;

/// One field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field's name as the caller wrote it, with dots into objects and brackets into lists.
    pub field: String,
    /// What is wrong and what would be right. Never repeats a secret.
    pub message: String,
}

/// At least one field is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>().join("; "))]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// One wrong field.
    #[must_use]
    pub fn one(field: impl Into<String>, message: impl ToString) -> Self {
        Self(vec![FieldError { field: field.into(), message: message.to_string() }])
    }

    /// Notes a wrong field; of very many, the first [`FIELDS_MAX`].
    pub fn add(&mut self, field: impl Into<String>, message: impl ToString) {
        if self.0.len() < FIELDS_MAX {
            self.0.push(FieldError { field: field.into(), message: message.to_string() });
        }
    }

    /// Takes a field's value, or notes what is wrong with it.
    pub fn take<T, E: ToString>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error)).ok()
    }

    /// Like [`FieldErrors::take`] for a field that may be absent.
    pub fn take_optional<T, E: ToString>(&mut self, field: &str, result: Option<Result<T, E>>) -> Option<T> {
        result.and_then(|result| self.take(field, result))
    }

    /// Nothing when no field is wrong.
    ///
    /// # Errors
    /// Itself, when any is.
    pub fn check(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_wrong_fields_are_not_a_million_answers() {
        let mut errors = FieldErrors::default();
        for index in 0..1_000_000 {
            errors.add(format!("users[{index}]"), "must not be empty");
        }
        assert_eq!(errors.0.len(), FIELDS_MAX);
        assert_eq!(errors.0[0].field, "users[0]");
    }
}
