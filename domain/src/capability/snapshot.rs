//! All that a server offered at one moment, with a hash for each part of each, so that what changed tells what kind of
//! change it is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical::hash_into;
use super::model::{Annotations, Capability, CapabilityKind};

/// A BLAKE3 hash of a part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartHash([u8; 32]);

impl fmt::Debug for PartHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", blake3::Hash::from(self.0))
    }
}

/// The parts of a capability that can change, each by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hashes {
    /// Kind and name.
    pub name: PartHash,
    /// Title and description: what people and models read.
    pub text: PartHash,
    /// What it takes and gives.
    pub schema: PartHash,
    /// What it says of its effects.
    pub effects: PartHash,
}

/// What an approval is of: a tool's name, schema and word of its effects, and not its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

/// Not the text of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a tool's fingerprint: 64 hexadecimal digits")]
pub struct NotAFingerprint;

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        blake3::Hash::from(fingerprint.0).to_hex().to_string()
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        blake3::Hash::from_hex(text).map(|hash| Self(hash.into())).map_err(|_| NotAFingerprint)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NotAFingerprint;

    fn try_from(text: String) -> Result<Self, NotAFingerprint> {
        text.parse()
    }
}

impl Capability {
    /// The hashes of its parts.
    #[must_use]
    pub fn hashes(&self) -> Hashes {
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
        let part = |value: &Option<Value>| value.clone().unwrap_or_default();
        let Annotations { read_only_hint, destructive_hint, idempotent_hint, open_world_hint } = self.annotations;
        let hints = [read_only_hint, destructive_hint, idempotent_hint, open_world_hint];
        let hints = hints.map(|hint| hint.map_or(Value::Null, Value::Bool));
        Hashes {
            name: hash("name", [self.kind.as_str().into(), self.name.as_str().into()]),
            text: hash("text", [text(&self.title), text(&self.description)]),
            schema: hash("schema", [part(&self.input), part(&self.output)]),
            effects: hash("effects", hints),
        }
    }

    /// What an approval of it is of.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hashes = self.hashes();
        let mut hasher = blake3::Hasher::new_derive_key("keyrack capability fingerprint v1");
        hasher.update(&hashes.name.0).update(&hashes.schema.0).update(&hashes.effects.0);
        Fingerprint(hasher.finalize().into())
    }
}

fn hash<const PARTS: usize>(part: &'static str, values: [Value; PARTS]) -> PartHash {
    let mut hasher = blake3::Hasher::new_derive_key("keyrack capability part v1");
    hash_into(&mut hasher, &part.into());
    hash_into(&mut hasher, &Value::Array(values.to_vec()));
    PartHash(hasher.finalize().into())
}

/// Two different things with one name: nobody knows which of them a call would reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server offers two different {}s named {name:?}", kind.as_str())]
pub struct Twice {
    /// What kind.
    pub kind: CapabilityKind,
    /// Which name.
    pub name: String,
}

/// All that a server offered at one moment, in an order that is ours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot(BTreeMap<(CapabilityKind, String), Capability>);

impl Snapshot {
    /// What a server lists. The order means nothing; what is listed twice in the same words is there once.
    ///
    /// # Errors
    /// [`Twice`]
    pub fn of(capabilities: impl IntoIterator<Item = Capability>) -> Result<Self, Twice> {
        let mut snapshot = BTreeMap::new();
        for capability in capabilities {
            match snapshot.entry((capability.kind, capability.name.clone())) {
                Entry::Vacant(place) => drop(place.insert(capability)),
                Entry::Occupied(there) if there.get().hashes() == capability.hashes() => {}
                Entry::Occupied(_) => return Err(Twice { kind: capability.kind, name: capability.name }),
            }
        }
        Ok(Self(snapshot))
    }

    /// The one with this name.
    #[must_use]
    pub fn get(&self, kind: CapabilityKind, name: &str) -> Option<&Capability> {
        // The key is owned; a look-up is rare.
        self.0.get(&(kind, name.to_owned()))
    }

    /// All of them: by kind, and then by name.
    pub fn iter(&self) -> impl Iterator<Item = &Capability> {
        self.0.values()
    }

    /// The tools.
    pub fn tools(&self) -> impl Iterator<Item = &Capability> {
        self.iter().filter(|capability| capability.kind == CapabilityKind::Tool)
    }

    /// How many of a kind there are.
    #[must_use]
    pub fn count(&self, kind: CapabilityKind) -> usize {
        self.iter().filter(|capability| capability.kind == kind).count()
    }
}

impl Serialize for Snapshot {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(Vec::<Capability>::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
