//! Signing assertions for upstream servers, each time with the key whose time it is.

use std::sync::{Arc, PoisonError, RwLock};

use domain::assertion::AssertionClaims;
use domain::assertion::keys::{KeySchedule, NumberedKey};
use domain::root::{Overlap, RootSecret};
use domain::time::Timestamp;

use super::jwt::{JwkSet, Signer};

/// Signs assertions for upstream servers.
pub struct AssertionSigner {
    root: RootSecret,
    other: Option<(RootSecret, Overlap)>,
    ring: RwLock<Arc<Ring>>,
}

/// The keys that are of use now.
struct Ring {
    schedule: KeySchedule,
    signers: Vec<(u32, Arc<Signer>)>,
}

impl Ring {
    fn signer(&self, key: NumberedKey) -> Option<&Arc<Signer>> {
        self.signers.iter().find(|(number, _)| *number == key.number).map(|(_, signer)| signer)
    }
}

impl AssertionSigner {
    /// Signs with the keys of this schedule, derived from the root secret.
    #[must_use]
    pub fn new(root: &RootSecret, schedule: KeySchedule, now: Timestamp) -> Self {
        let none = Arc::new(Ring { schedule: schedule.clone(), signers: vec![] });
        let signer = Self { root: root.clone(), other: None, ring: RwLock::new(none) };
        signer.follow(schedule, now);
        signer
    }

    /// The same, and publishes the keys of nodes that sign under another root secret, as long as there are such nodes.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>, overlap: &Overlap) -> Self {
        Self { other: root.map(|root| (root.clone(), overlap.clone())), ..self }
    }

    /// Goes on by this schedule. Whoever is signing meanwhile does so by the old one.
    pub fn follow(&self, schedule: KeySchedule, now: Timestamp) {
        let old = self.ring();
        let known = |key: NumberedKey| old.signer(key).cloned();
        let made = |key: NumberedKey| Arc::new(Signer::new(&self.root.assertion_seed(key.number)));
        let signers =
            schedule.published(now).map(|key| (key.number, known(key).unwrap_or_else(|| made(key)))).collect();
        let ring = Arc::new(Ring { schedule, signers });
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The assertion's text: a JWT, whose header names the key.
    ///
    /// # Panics
    /// Never: a key is always published.
    #[must_use]
    pub fn sign(&self, claims: &AssertionClaims, now: Timestamp) -> String {
        let ring = self.ring();
        // After a clock jumped back behind a change, the key of that time may be one that is published no longer.
        let signer = ring.signer(ring.schedule.signing(now)).or(ring.signers.first().map(|(_, signer)| signer));
        signer.expect("a key is always published").sign(claims)
    }

    /// What upstream servers verify assertions with at this time, the signing key first.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> JwkSet {
        let ring = self.ring();
        let keys = ring.schedule.published(now).filter_map(|key| ring.signer(key).map(|signer| signer.jwk()));
        let other = self.other.iter().filter(|(_, overlap)| overlap.holds()).flat_map(|(root, _)| {
            let made = |key: NumberedKey| Signer::new(&root.assertion_seed(key.number)).jwk();
            ring.schedule.published(now).map(made)
        });
        JwkSet { keys: keys.chain(other).collect() }
    }

    /// The name of a key of the series, as headers and the published set have it.
    #[must_use]
    pub fn key_id(&self, key: NumberedKey) -> String {
        Signer::new(&self.root.assertion_seed(key.number)).jwk().kid
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::assertion::keys::{KEY_SET_MAX_AGE, PUBLISHED_AFTER, PUBLISHED_AHEAD};
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

    use super::*;

    const AUDIENCE: &str = "http://127.0.0.1:9/mcp";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).after(Duration::from_secs(seconds))
    }

    fn claims(now: Timestamp) -> AssertionClaims {
        AssertionClaims {
            iss: "http://localhost:8080".into(),
            aud: AUDIENCE.into(),
            sub: "marina".into(),
            organization: "acme".into(),
            tenant_org: None,
            tenant_user: Some("marina".into()),
            role: "editor",
            key_id: None,
            iat: now.as_seconds(),
            exp: now.as_seconds() + 60,
        }
    }

    /// Whether somebody who has this copy of the set can verify the token.
    fn verifies(token: &str, set: &JwkSet) -> bool {
        let header = decode_header(token).expect("a header");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        // The times are the test's own.
        validation.validate_exp = false;
        set.keys.iter().filter(|key| Some(&key.kid) == header.kid.as_ref()).any(|key| {
            let key = DecodingKey::from_ed_components(&key.x).expect("a public key");
            decode::<serde_json::Value>(token, &key, &validation)
                .is_ok_and(|read| read.claims["tenantUser"] == "marina")
        })
    }

    fn root(seed: u8) -> RootSecret {
        RootSecret::new([seed; 32]).expect("long enough")
    }

    #[test]
    fn whoever_keeps_the_set_no_longer_than_allowed_can_verify_every_assertion() {
        // Two nodes on one database: the second hears of the new key late, and the key changes at 10,000.
        const CHANGE: u64 = 10_000;
        let (old, ahead) = (KeySchedule::new(vec![]), PUBLISHED_AHEAD.as_secs());
        let coming = NumberedKey { number: 1, signs_from: at(CHANGE) };
        let new = KeySchedule::new(vec![NumberedKey { number: 0, signs_from: at(0) }, coming]);
        let nodes = [0, ahead - 2 * KEY_SET_MAX_AGE.as_secs()].map(|late| {
            let signer = AssertionSigner::new(&root(1), old.clone(), at(0));
            (signer, CHANGE - ahead + late)
        });
        let mut copies: Vec<(u64, JwkSet)> = vec![];
        let mut kids = std::collections::HashSet::new();
        for now in (CHANGE - 2 * ahead..CHANGE + 2 * PUBLISHED_AFTER.as_secs()).step_by(30) {
            for (signer, hears) in &nodes {
                if now >= *hears {
                    signer.follow(new.clone(), at(now));
                }
                copies.push((now, signer.jwks(at(now))));
            }
            copies.retain(|(fetched, _)| fetched + KEY_SET_MAX_AGE.as_secs() >= now);
            for (signer, _) in &nodes {
                let token = signer.sign(&claims(at(now)), at(now));
                kids.insert(decode_header(&token).expect("a header").kid);
                for (fetched, copy) in &copies {
                    assert!(verifies(&token, copy), "signed at {now}, the copy is of {fetched}");
                }
            }
            let (first, second) = (nodes[0].0.jwks(at(now)), nodes[1].0.jwks(at(now)));
            assert_eq!(first.keys[0].kid, second.keys[0].kid, "nodes change over at the same time, at {now}");
        }
        assert_eq!(kids.len(), 2, "the key did change");
        assert_eq!(nodes[0].0.jwks(at(CHANGE + PUBLISHED_AFTER.as_secs())).keys.len(), 1);
    }

    #[test]
    fn an_assertion_outlives_the_change_of_its_key() {
        let first = NumberedKey { number: 0, signs_from: at(0) };
        let schedule = KeySchedule::new(vec![first, NumberedKey { number: 1, signs_from: at(5000) }]);
        let signer = AssertionSigner::new(&root(1), schedule, at(4000));
        let token = signer.sign(&claims(at(4999)), at(4999));
        assert!(verifies(&token, &signer.jwks(at(5060))));
        assert_eq!(signer.jwks(at(4999)).keys[0].kid, signer.key_id(first));
    }

    #[test]
    fn what_another_node_signs_under_another_root_secret_verifies_as_long_as_one_does() {
        let overlap = Overlap::default();
        let [one, two] = [1, 2].map(|seed| AssertionSigner::new(&root(seed), KeySchedule::new(vec![]), at(0)));
        let (one, token) = (one.with_other(Some(&root(2)), &overlap), two.sign(&claims(at(0)), at(0)));
        assert!(!verifies(&token, &one.jwks(at(0))));
        overlap.set(true);
        assert!(verifies(&token, &one.jwks(at(0))));
        assert_eq!(one.jwks(at(0)).keys[0].kid, one.key_id(NumberedKey { number: 0, signs_from: at(0) }));
    }

    #[test]
    fn another_root_secret_has_other_keys() {
        let [one, two] = [1, 2].map(|seed| AssertionSigner::new(&root(seed), KeySchedule::new(vec![]), at(0)));
        assert!(!verifies(&one.sign(&claims(at(0)), at(0)), &two.jwks(at(0))));
    }
}
