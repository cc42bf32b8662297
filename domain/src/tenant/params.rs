//! `?org_id=` and `?user_id=` as they arrive in a query string.
//!
//! Values are percent-decoded once (RFC 3986, section 2.1) and nothing else: `+` stays `+`, since an e-mail address with
//! a plus is a common user id and a space can be written as `%20`.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use smol_str::SmolStr;

use crate::guard::own_key::look_alikes;

/// Longest tenant id, in bytes after decoding.
pub const TENANT_ID_MAX: usize = 128;

/// The caller's own id of a tenant org or tenant user: 1 to 128 bytes of UTF-8 without control characters. Opaque,
/// case-sensitive, compared as bytes. Cheap to clone: up to 23 bytes stand in place, longer ones are shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantText(SmolStr);

impl TenantText {
    /// Checks an id that is already decoded.
    ///
    /// # Errors
    /// [`TenantFault`] with what is wrong.
    pub fn new(text: &str) -> Result<Self, TenantFault> {
        if text.is_empty() {
            Err(TenantFault::Empty)
        } else if text.len() > TENANT_ID_MAX {
            Err(TenantFault::TooLong)
        } else if has_control(text) {
            Err(TenantFault::ControlCharacter)
        } else if look_alikes(text).next().is_some() {
            // It would be kept wherever tenants are.
            Err(TenantFault::Key)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for TenantText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl fmt::Display for TenantText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Which of the two parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantField {
    /// `org_id`
    OrgId,
    /// `user_id`
    UserId,
}

impl TenantField {
    /// The parameter's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrgId => "org_id",
            Self::UserId => "user_id",
        }
    }
}

/// What is wrong with a tenant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TenantFault {
    /// Given, but empty.
    #[error("must not be empty; leave it out instead")]
    Empty,
    /// Given more than once.
    #[error("must be given once")]
    Repeated,
    /// Over [`TENANT_ID_MAX`] bytes.
    #[error("must be at most {TENANT_ID_MAX} bytes")]
    TooLong,
    /// A control character.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Something of the form of our own keys.
    #[error("must be an id, not an API key")]
    Key,
    /// Not UTF-8 after decoding, or a `%` without two hexadecimal digits.
    #[error("must be percent-encoded UTF-8")]
    Encoding,
}

/// A parameter that cannot be a tenant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} {fault}", field.as_str())]
pub struct InvalidTenant {
    /// Which parameter.
    pub field: TenantField,
    /// What is wrong with it.
    pub fault: TenantFault,
}

/// The two parameters, each absent or well formed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantParams {
    /// `?org_id=`
    pub org: Option<TenantText>,
    /// `?user_id=`
    pub user: Option<TenantText>,
}

impl TenantParams {
    /// Checks both, as they stand in a body.
    ///
    /// # Errors
    /// [`InvalidTenant`] for the first that cannot be one.
    pub fn of(org: Option<&str>, user: Option<&str>) -> Result<Self, InvalidTenant> {
        let checked = |field, text: Option<&str>| {
            text.map(TenantText::new).transpose().map_err(|fault| InvalidTenant { field, fault })
        };
        Ok(Self { org: checked(TenantField::OrgId, org)?, user: checked(TenantField::UserId, user)? })
    }

    /// Reads both parameters from a raw query string (without the `?`). Other parameters are not looked at.
    ///
    /// # Errors
    /// [`InvalidTenant`] for the first parameter that is empty, repeated, too long, wrongly encoded or has a control
    /// character.
    pub fn parse(query: &str) -> Result<Self, InvalidTenant> {
        let mut found = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(field) = field(name) else { continue };
            let slot = match field {
                TenantField::OrgId => &mut found.org,
                TenantField::UserId => &mut found.user,
            };
            let invalid = |fault| InvalidTenant { field, fault };
            if slot.is_some() {
                return Err(invalid(TenantFault::Repeated));
            }
            *slot = Some(TenantText::new(&decode(value).map_err(invalid)?).map_err(invalid)?);
        }
        Ok(found)
    }
}

fn field(name: &str) -> Option<TenantField> {
    // A name can be percent-encoded too; else `user%5Fid` would be a second, unseen user_id for others to read.
    let name = if name.contains('%') { percent_decode_str(name).decode_utf8_lossy() } else { Cow::Borrowed(name) };
    match &*name {
        "org_id" => Some(TenantField::OrgId),
        "user_id" => Some(TenantField::UserId),
        _ => None,
    }
}

/// As [`char::is_control`] says of any of its characters. Bytes are enough for most ids: all of them are looked at
/// without an early end, which the compiler turns into few instructions.
fn has_control(text: &str) -> bool {
    let (mut control, mut all) = (false, 0);
    for byte in text.bytes() {
        control |= byte < 0x20 || byte == 0x7f;
        all |= byte;
    }
    control || (!all.is_ascii() && text.chars().any(char::is_control))
}

fn decode(value: &str) -> Result<Cow<'_, str>, TenantFault> {
    if !value.contains('%') {
        return Ok(Cow::Borrowed(value));
    }
    let bytes = value.as_bytes();
    let whole = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(position, _)| {
        matches!(bytes.get(position + 1..position + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    });
    if !whole {
        return Err(TenantFault::Encoding);
    }
    percent_decode_str(value).decode_utf8().map_err(|_| TenantFault::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(query: &str) -> Result<Option<String>, TenantFault> {
        TenantParams::parse(query)
            .map(|params| params.user.map(|id| id.as_str().to_owned()))
            .map_err(|invalid| invalid.fault)
    }

    #[test]
    fn values_are_decoded_once() {
        assert_eq!(user("user_id=a%2525b"), Ok(Some("a%25b".into())));
        assert_eq!(user("user_id=m%C3%A9"), Ok(Some("mé".into())));
        assert_eq!(user("user_id=ann+test@example.com"), Ok(Some("ann+test@example.com".into())));
        assert_eq!(user("x=1&user_id=a&y"), Ok(Some("a".into())));
        assert_eq!(user("user_id=a=b"), Ok(Some("a=b".into())));
        assert_eq!(user("User_Id=a&userid=b"), Ok(None));
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        assert_eq!(user("user_id="), Err(TenantFault::Empty));
        assert_eq!(user("user_id"), Err(TenantFault::Empty));
        assert_eq!(user("user_id=a&user_id=a"), Err(TenantFault::Repeated));
        assert_eq!(user("user_id=a&user%5Fid=b"), Err(TenantFault::Repeated));
        assert_eq!(user(&format!("user_id={}", "a".repeat(129))), Err(TenantFault::TooLong));
        assert_eq!(user(&format!("user_id={}", "%C3%A9".repeat(65))), Err(TenantFault::TooLong));
        assert_eq!(user("user_id=a%00"), Err(TenantFault::ControlCharacter));
        let key = format!("kr_{}_{}", "a".repeat(16), "b".repeat(49));
        assert_eq!(user(&format!("user_id={key}")), Err(TenantFault::Key));
        assert_eq!(user(&format!("user_id=of-{key}-x")), Err(TenantFault::Key));
        assert_eq!(user(&format!("user_id={}", &key[..67])), Ok(Some(key[..67].to_owned())));
        assert_eq!(user("user_id=%C2%85"), Err(TenantFault::ControlCharacter));
        assert_eq!(user("user_id=%FF"), Err(TenantFault::Encoding));
        assert_eq!(user("user_id=%zz"), Err(TenantFault::Encoding));
        assert_eq!(user("user_id=100%"), Err(TenantFault::Encoding));
    }
}
