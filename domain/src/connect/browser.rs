//! Telling one browser from another: what a page hands out comes back only from the browser that asked for the page. A
//! page of somebody else can send a form here, but it cannot read the cookie that the form has to go with.

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::key::token::NoRandomness;
use crate::root::{Purpose, RootSecret};

/// Characters of a browser's name.
const NAME: usize = 64;

/// A browser, by the random name that its cookie has.
#[derive(Clone, PartialEq, Eq)]
pub struct Browser(String);

impl Browser {
    /// One that was never here.
    ///
    /// # Errors
    /// [`NoRandomness`]
    pub fn new() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        SysRng.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(blake3::Hash::from_bytes(bytes).to_hex().to_string()))
    }

    /// The browser that a cookie names.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let good = name.len() == NAME && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(name.to_owned()))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Binds things to browsers.
pub struct Browsers {
    key: Zeroizing<[u8; 32]>,
    // While the root secret is being replaced, another node may have handed out what comes back here.
    other: Option<Zeroizing<[u8; 32]>>,
}

impl Browsers {
    /// With the key that is derived from the root secret.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self { key: root.derive(Purpose::ConnectBrowser), other: None }
    }

    /// The same, and good for what was handed out under another root secret.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>) -> Self {
        Self { other: root.map(|root| root.derive(Purpose::ConnectBrowser)), ..self }
    }

    /// What proves that a thing was handed to this browser.
    #[must_use]
    pub fn binding(&self, browser: &Browser, thing: &str) -> blake3::Hash {
        binding(&self.key, browser, thing)
    }

    /// Whether the proof is of this browser and thing; compared in constant time.
    #[must_use]
    pub fn holds(&self, browser: &Browser, thing: &str, proof: &str) -> bool {
        let Ok(proof) = blake3::Hash::from_hex(proof) else { return false };
        let keys = std::iter::once(&self.key).chain(&self.other);
        keys.fold(false, |holds, key| holds | (proof == binding(key, browser, thing)))
    }
}

fn binding(key: &[u8; 32], browser: &Browser, thing: &str) -> blake3::Hash {
    // The name's length is fixed, so that no two pairs look alike.
    blake3::Hasher::new_keyed(key).update(browser.0.as_bytes()).update(thing.as_bytes()).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_browser_and_thing_alone() {
        let root = |seed| RootSecret::new([seed; 32]).expect("long enough");
        let browsers = Browsers::derive(&root(1));
        let (one, other) = (Browser::new().expect("randomness"), Browser::new().expect("randomness"));
        assert_ne!(one.name(), other.name());
        let proof = browsers.binding(&one, "link").to_hex().to_string();
        assert!(browsers.holds(&one, "link", &proof));
        assert!(!browsers.holds(&other, "link", &proof));
        assert!(!browsers.holds(&one, "another link", &proof));
        assert!(!Browsers::derive(&root(2)).holds(&one, "link", &proof));
        assert!(Browsers::derive(&root(2)).with_other(Some(&root(1))).holds(&one, "link", &proof));
        for bad in ["", "0", &proof[1..], &"0".repeat(64), &"x".repeat(64)] {
            assert!(!browsers.holds(&one, "link", bad), "{bad}");
        }
    }

    #[test]
    fn only_names_of_our_own_form_are_browsers() {
        let name = "0123456789abcdef".repeat(4);
        assert_eq!(Browser::named(&name).expect("a name").name(), name);
        for bad in ["", "a", &name[1..], &name.to_uppercase(), &format!("{name}0"), &"<".repeat(64)] {
            assert!(Browser::named(bad).is_none(), "{bad}");
        }
    }
}
