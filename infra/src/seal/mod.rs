//! Sealing: authenticated encryption (AES-256-GCM) of what must be readable again: upstream credentials at rest and
//! upstream session ids in clients' hands. The place of a sealed thing is bound to it, so that it does not open anywhere
//! else.

mod link;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, RandomizedNonceKey};
use domain::connection::Holder;
use domain::id::{OrganizationId, RunId, ServerId};
use domain::root::{Purpose, RootSecret};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// It was not sealed here, not for this place, or was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub struct DoesNotOpen;

/// Where a server's credential belongs.
#[derive(Debug, Clone, Copy)]
pub struct ServerPlace {
    /// The organization.
    pub organization: OrganizationId,
    /// The server.
    pub server: ServerId,
}

impl ServerPlace {
    fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(self.organization.as_uuid().as_bytes());
        bytes[16..].copy_from_slice(self.server.as_uuid().as_bytes());
        bytes
    }
}

/// Where a tenant's credential belongs.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionPlace<'a> {
    /// The organization.
    pub organization: OrganizationId,
    /// Whose it is.
    pub holder: Holder,
    /// The server.
    pub server: ServerId,
    /// The origin that it was given for.
    pub origin: &'a str,
}

impl ConnectionPlace<'_> {
    fn bytes(&self) -> Vec<u8> {
        let (kind, holder) = match self.holder {
            Holder::Person(id) => (0, id.as_uuid()),
            Holder::TenantUser(id) => (1, id.as_uuid()),
        };
        let mut bytes = Vec::with_capacity(49 + self.origin.len());
        bytes.extend_from_slice(self.organization.as_uuid().as_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(holder.as_bytes());
        bytes.extend_from_slice(self.server.as_uuid().as_bytes());
        // Last, since it alone has no fixed length.
        bytes.extend_from_slice(self.origin.as_bytes());
        bytes
    }
}

/// Where something of a consent belongs.
#[derive(Debug, Clone, Copy)]
pub enum ConsentPlace<'a> {
    /// In an address: a connect link.
    Link,
    /// Beside the digest of its state: an authorization that is under way.
    Authorization(&'a blake3::Hash),
    /// With its server: a client that Keyrack registered itself.
    Client(OrganizationId, ServerId),
}

impl ConsentPlace<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Link => b"link".to_vec(),
            Self::Authorization(digest) => [b"authorization".as_slice(), digest.as_bytes()].concat(),
            Self::Client(organization, server) => {
                [b"client".as_slice(), organization.as_uuid().as_bytes(), server.as_uuid().as_bytes()].concat()
            }
        }
    }
}

/// Where something belongs that a run carries from a step to those after it.
#[derive(Debug, Clone, Copy)]
pub struct RunPlace {
    /// The organization.
    pub organization: OrganizationId,
    /// The run.
    pub run: RunId,
    /// The step, by its place.
    pub position: u32,
}

impl RunPlace {
    fn bytes(self) -> Vec<u8> {
        let (organization, run) = (self.organization.as_uuid(), self.run.as_uuid());
        [organization.as_bytes().as_slice(), run.as_bytes(), &self.position.to_le_bytes()].concat()
    }
}

/// Seals and opens, under keys derived from the root secret. Opens what was sealed under another one too, while that is
/// given.
pub struct Sealer {
    keys: Keys,
    other: Option<Keys>,
}

struct Keys {
    credentials: RandomizedNonceKey,
    sessions: RandomizedNonceKey,
    retired: RandomizedNonceKey,
    connections: RandomizedNonceKey,
    consents: RandomizedNonceKey,
    runs: RandomizedNonceKey,
}

impl Keys {
    fn derive(root: &RootSecret) -> Self {
        let key = |purpose| {
            RandomizedNonceKey::new(&AES_256_GCM, root.derive(purpose).as_ref())
                .expect("a derived key has the cipher's length")
        };
        Self {
            credentials: key(Purpose::CredentialSealing),
            sessions: key(Purpose::SessionSealing),
            retired: key(Purpose::RetiredSealing),
            connections: key(Purpose::ConnectionSealing),
            consents: key(Purpose::ConsentSealing),
            runs: key(Purpose::RunSealing),
        }
    }
}

/// What is kept of earlier root secrets. Public keys are sealed too: whoever can write to the database could otherwise add
/// one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// The keys of tokens' checksums.
    Checksums,
    /// The public keys of checkpoints of the audit log.
    Signers,
}

impl Retired {
    const fn place(self) -> &'static [u8] {
        match self {
            Self::Checksums => b"retired checksum keys",
            Self::Signers => b"retired checkpoint keys",
        }
    }
}

impl Sealer {
    /// Derives the keys.
    ///
    /// # Panics
    /// Never: the derived keys have the cipher's length.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self { keys: Keys::derive(root), other: None }
    }

    /// The same, and opens what was sealed under this root secret, too.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>) -> Self {
        Self { other: root.map(Keys::derive), ..self }
    }

    fn open(
        &self,
        key: impl Fn(&Keys) -> &RandomizedNonceKey,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        open(key(&self.keys), place, sealed).or_else(|fault| match &self.other {
            Some(other) => open(key(other), place, sealed),
            None => Err(fault),
        })
    }

    /// Seals keys of earlier root secrets.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_retired(&self, what: Retired, keys: &[Zeroizing<[u8; 32]>]) -> Result<Vec<u8>, DoesNotOpen> {
        let plain = Zeroizing::new(keys.iter().flat_map(|key| key.iter().copied()).collect::<Vec<_>>());
        seal(&self.keys.retired, what.place(), &plain)
    }

    /// Opens keys of earlier root secrets.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_retired(&self, what: Retired, sealed: &[u8]) -> Result<Vec<Zeroizing<[u8; 32]>>, DoesNotOpen> {
        let opened = self.open(|keys| &keys.retired, what.place(), sealed)?;
        let (keys, rest) = opened.as_chunks::<32>();
        if rest.is_empty() { Ok(keys.iter().map(|key| Zeroizing::new(*key)).collect()) } else { Err(DoesNotOpen) }
    }

    /// Seals a server's credential.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_server(&self, place: ServerPlace, secret: &str) -> Result<Vec<u8>, DoesNotOpen> {
        seal(&self.keys.credentials, &place.bytes(), secret.as_bytes())
    }

    /// Opens a server's credential.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_server(&self, place: ServerPlace, sealed: &[u8]) -> Result<SecretString, DoesNotOpen> {
        let opened = self.open(|keys| &keys.credentials, &place.bytes(), sealed)?;
        std::str::from_utf8(&opened).map(|text| text.to_owned().into()).map_err(|_| DoesNotOpen)
    }

    /// Seals a tenant's credential.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_connection(&self, place: ConnectionPlace<'_>, credential: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        seal(&self.keys.connections, &place.bytes(), credential)
    }

    /// Opens a tenant's credential.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_connection(
        &self,
        place: ConnectionPlace<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        self.open(|keys| &keys.connections, &place.bytes(), sealed)
    }

    /// Seals something of a consent.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_consent(&self, place: ConsentPlace<'_>, plain: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        seal(&self.keys.consents, &place.bytes(), plain)
    }

    /// Opens something of a consent.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_consent(&self, place: ConsentPlace<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        self.open(|keys| &keys.consents, &place.bytes(), sealed)
    }

    /// Seals what a run carries from a step to those after it.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_run(&self, place: RunPlace, plain: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        seal(&self.keys.runs, &place.bytes(), plain)
    }

    /// Opens what a run carries from a step to those after it.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_run(&self, place: RunPlace, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        self.open(|keys| &keys.runs, &place.bytes(), sealed)
    }

    /// Seals an upstream session id for one caller and server, named by `binding`.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_session(&self, binding: &[u8], session: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        seal(&self.keys.sessions, binding, session)
    }

    /// Opens a session id that was sealed under the same binding.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_session(&self, binding: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        self.open(|keys| &keys.sessions, binding, sealed).map(|opened| opened.to_vec())
    }
}

fn seal(key: &RandomizedNonceKey, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let mut sealed = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(place), &mut sealed).map_err(|_| DoesNotOpen)?;
    let mut out = Vec::with_capacity(NONCE_LEN + sealed.len());
    out.extend_from_slice(nonce.as_ref());
    out.append(&mut sealed);
    Ok(out)
}

fn open(key: &RandomizedNonceKey, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(DoesNotOpen)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let length = key.open_in_place(nonce.into(), Aad::from(place), &mut buffer).map_err(|_| DoesNotOpen)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use domain::id::{TenantUserId, UserId};
    use secrecy::ExposeSecret;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::derive(&RootSecret::new([9_u8; 32]).expect("long enough"))
    }

    #[test]
    fn a_credential_opens_only_in_its_own_place() {
        let place = ServerPlace { organization: OrganizationId::new(), server: ServerId::new() };
        let sealed = sealer().seal_server(place, "upstream-secret").expect("randomness");
        let opened = sealer().open_server(place, &sealed).expect("the same place");
        assert_eq!(opened.expose_secret(), "upstream-secret");
        let elsewhere = [
            ServerPlace { organization: OrganizationId::new(), ..place },
            ServerPlace { server: ServerId::new(), ..place },
        ];
        for place in elsewhere {
            assert!(sealer().open_server(place, &sealed).is_err());
        }
    }

    #[test]
    fn what_the_previous_root_secret_sealed_opens_while_it_is_given_and_is_sealed_anew() {
        let root = |seed| RootSecret::new([seed; 32]).expect("long enough");
        let place = ServerPlace { organization: OrganizationId::new(), server: ServerId::new() };
        let old = Sealer::derive(&root(1)).seal_server(place, "upstream-secret").expect("randomness");
        let (both, new) = (Sealer::derive(&root(2)).with_other(Some(&root(1))), Sealer::derive(&root(2)));
        assert!(new.open_server(place, &old).is_err());
        let opened = both.open_server(place, &old).expect("the previous one's");
        let again = both.seal_server(place, opened.expose_secret()).expect("randomness");
        assert_eq!(new.open_server(place, &again).expect("its own").expose_secret(), "upstream-secret");
        assert!(Sealer::derive(&root(1)).open_server(place, &again).is_err());
    }

    #[test]
    fn an_altered_credential_does_not_open() {
        let place = ServerPlace { organization: OrganizationId::new(), server: ServerId::new() };
        let sealed = sealer().seal_server(place, "upstream-secret").expect("randomness");
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(sealer().open_server(place, &altered).is_err(), "byte {position}");
        }
        assert!(sealer().open_server(place, &sealed[..sealed.len() - 1]).is_err());
        assert!(sealer().open_server(place, b"").is_err());
    }

    #[test]
    fn a_connection_opens_only_for_its_own_organization_holder_server_and_origin() {
        let user = UserId::new();
        let place = ConnectionPlace {
            organization: OrganizationId::new(),
            holder: Holder::Person(user),
            server: ServerId::new(),
            origin: "https://mcp.example.com",
        };
        let sealed = sealer().seal_connection(place, b"marina's token").expect("randomness");
        assert_eq!(sealer().open_connection(place, &sealed).expect("the same place").as_slice(), b"marina's token");
        let elsewhere = [
            ConnectionPlace { organization: OrganizationId::new(), ..place },
            ConnectionPlace { holder: Holder::Person(UserId::new()), ..place },
            // The same 16 bytes, and another kind of holder.
            ConnectionPlace { holder: Holder::TenantUser(TenantUserId::from_uuid(user.as_uuid())), ..place },
            ConnectionPlace { server: ServerId::new(), ..place },
            ConnectionPlace { origin: "https://mcp.example.com:444", ..place },
        ];
        for place in elsewhere {
            assert!(sealer().open_connection(place, &sealed).is_err(), "{place:?}");
        }
    }

    #[test]
    fn a_session_does_not_open_for_another_caller() {
        let sealed = sealer().seal_session(b"key-a", b"upstream-session").expect("randomness");
        assert_eq!(sealer().open_session(b"key-a", &sealed).as_deref(), Ok(b"upstream-session".as_slice()));
        assert!(sealer().open_session(b"key-b", &sealed).is_err());
    }
}
