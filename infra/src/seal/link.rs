//! Connect links as they stand in addresses: sealed, so that whoever gets one can neither read nor change it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::connect::ConnectLink;

use super::{ConsentPlace, DoesNotOpen, Sealer};
use crate::db::PlainLink;

/// Longest link that is looked at, in characters: two names of 128 bytes, each byte escaped in JSON, and the rest.
const LINK_MAX: usize = 4096;

impl Sealer {
    /// The text of a link.
    ///
    /// # Errors
    /// [`DoesNotOpen`] when the random source fails.
    pub fn seal_link(&self, link: &ConnectLink) -> Result<String, DoesNotOpen> {
        let plain = serde_json::to_vec(&PlainLink::from(link)).map_err(|_| DoesNotOpen)?;
        Ok(URL_SAFE_NO_PAD.encode(self.seal_consent(ConsentPlace::Link, &plain)?))
    }

    /// The link that a text is.
    ///
    /// # Errors
    /// [`DoesNotOpen`]
    pub fn open_link(&self, text: &str) -> Result<ConnectLink, DoesNotOpen> {
        if text.len() > LINK_MAX {
            return Err(DoesNotOpen);
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| DoesNotOpen)?;
        let plain = self.open_consent(ConsentPlace::Link, &sealed)?;
        let plain: PlainLink = serde_json::from_slice(&plain).map_err(|_| DoesNotOpen)?;
        plain.link().ok_or(DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use domain::connect::LinkMaker;
    use domain::id::{OrganizationId, ServerId, UserId};
    use domain::root::RootSecret;
    use domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_link_opens_as_it_was_made_and_not_when_a_character_of_it_is_another() {
        let sealer = |seed| Sealer::derive(&RootSecret::new([seed; 32]).expect("long enough"));
        let link = ConnectLink {
            organization: OrganizationId::new(),
            maker: LinkMaker::Person(UserId::new()),
            org: Some("gl\"obex".to_owned()),
            user: None,
            server: ServerId::new(),
            ends: Timestamp::from_micros(1),
            nonce: [7; 16],
        };
        let text = sealer(1).seal_link(&link).expect("randomness");
        assert_eq!(sealer(1).open_link(&text), Ok(link.clone()));
        assert!(sealer(2).open_link(&text).is_err());
        let by_key = ConnectLink { maker: LinkMaker::Key("key_7Gk2mQ0xZt4Rv9Ab".parse().expect("a key")), ..link };
        let other = sealer(1).seal_link(&by_key).expect("randomness");
        assert_eq!(sealer(1).open_link(&other), Ok(by_key));
        for place in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(sealer(1).open_link(&altered).is_err(), "character {place}");
        }
        for bad in ["", "A", "page.css", &"A".repeat(LINK_MAX + 1)] {
            assert!(sealer(1).open_link(bad).is_err(), "{bad}");
        }
    }
}
