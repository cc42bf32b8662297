//! What tells the calls of one session from those of another, without the session's id.

use zeroize::Zeroizing;

use crate::id::ServerId;
use crate::key::KeyId;
use crate::root::{Purpose, RootSecret};
use crate::tenant::{Tenant, TenantText};

/// The first 64 bits of a keyed BLAKE3 of the session's id and whose it is. Nobody can make an id of it, and without the
/// root secret nobody can tell whether it is that of an id that they know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionTag(i64);

impl SessionTag {
    /// The tag that a store holds.
    #[must_use]
    pub const fn of_stored(number: i64) -> Self {
        Self(number)
    }

    /// Its form in the store.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// Makes tags.
#[derive(Clone)]
pub struct SessionTags(Zeroizing<[u8; 32]>);

impl SessionTags {
    /// Tags under this root secret.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self(root.derive(Purpose::CallSession))
    }

    /// The tag of a session of this caller with this server, by the server's own id of it.
    #[must_use]
    pub fn tag(&self, key: KeyId, tenant: &Tenant, server: ServerId, session: &[u8]) -> SessionTag {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(server.as_uuid().as_bytes()).update(key.as_token_part().as_bytes());
        for part in [tenant.org(), tenant.user()] {
            // Ids have at most 128 bytes.
            let text = part.map_or("", TenantText::as_str);
            hasher.update(&[u8::try_from(text.len()).unwrap_or(u8::MAX)]).update(text.as_bytes());
        }
        let hash = hasher.update(session).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        SessionTag(i64::from_le_bytes(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantUserId;

    #[test]
    fn a_tag_is_of_one_session_of_one_caller_with_one_server_under_one_root_secret() {
        let root = |byte| SessionTags::derive(&RootSecret::new([byte; 32]).expect("long enough"));
        let key = |text| KeyId::from_token_part(text).expect("an id");
        let (server, other) = (ServerId::new(), ServerId::new());
        let (a, b) = (key("0123456789abcdef"), key("0123456789abcdeF"));
        let marina =
            Tenant::Below { org: None, user: Some((TenantUserId::new(), TenantText::new("marina").expect("an id"))) };
        let tags = root(7);
        let tag = tags.tag(a, &Tenant::Owner, server, b"s1");
        assert_eq!(tags.tag(a, &Tenant::Owner, server, b"s1"), tag);
        for different in [
            tags.tag(b, &Tenant::Owner, server, b"s1"),
            tags.tag(a, &marina, server, b"s1"),
            tags.tag(a, &Tenant::Owner, other, b"s1"),
            tags.tag(a, &Tenant::Owner, server, b"s2"),
            root(8).tag(a, &Tenant::Owner, server, b"s1"),
        ] {
            assert_ne!(different, tag);
        }
    }
}
