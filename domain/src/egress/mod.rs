//! Where Keyrack may connect to on behalf of an organization.
//!
//! An upstream url is https, or leads into a network that the operator allowed. The url is checked when a server is
//! registered; the address that its name resolves to is checked again at every connect, since names move.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// Longest upstream url, in bytes.
pub const URL_MAX: usize = 2048;

/// Networks that upstream connections may enter although they are not public.
#[derive(Debug, Clone, Default)]
pub struct EgressPolicy {
    allowed: Vec<IpNet>,
}

/// Why an upstream url or address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressRefusal {
    /// Not a url.
    #[error("must be an absolute URL, for example https://mcp.example.com/mcp")]
    NotUrl,
    /// Over [`URL_MAX`] bytes.
    #[error("must be at most {URL_MAX} characters")]
    TooLong,
    /// Neither https nor http.
    #[error("must begin with https://")]
    Scheme,
    /// User name or password inside.
    #[error("must not contain a user name or password; put the credential into auth")]
    UserInfo,
    /// A fragment.
    #[error("must not contain a #fragment")]
    Fragment,
    /// Plain http to a host that is not an address in an allowed network.
    #[error(
        "must begin with https://; plain http is for loopback and private networks that KEYRACK_EGRESS_ALLOW lists"
    )]
    PlainHttp,
    /// An address that is not public and not allowed.
    #[error("{0} is not a public address; list its network in KEYRACK_EGRESS_ALLOW to allow it")]
    Address(IpAddr),
    /// The name has no address at all.
    #[error("the host name has no address")]
    NoAddress,
}

impl EgressPolicy {
    /// A policy that allows public addresses and these networks.
    #[must_use]
    pub const fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Checks an address that is about to be connected to.
    ///
    /// # Errors
    /// [`EgressRefusal::Address`]
    pub fn permit(&self, address: IpAddr) -> Result<(), EgressRefusal> {
        let address = address.to_canonical();
        if is_public(address) || self.lists(address) { Ok(()) } else { Err(EgressRefusal::Address(address)) }
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&address))
    }

    /// Checks an upstream url as far as its text goes.
    ///
    /// Plain http needs an address, or `localhost`, in an allowed network: for any other name, what the text resolves to
    /// at each connect decides, and by then a credential is on its way.
    ///
    /// # Errors
    /// [`EgressRefusal`]
    pub fn vet(&self, text: &str) -> Result<VettedUrl, EgressRefusal> {
        if text.len() > URL_MAX {
            return Err(EgressRefusal::TooLong);
        }
        let url = Url::parse(text).map_err(|_| EgressRefusal::NotUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(EgressRefusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EgressRefusal::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EgressRefusal::Fragment);
        }
        let address = match url.host().ok_or(EgressRefusal::NotUrl)? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address).to_canonical()),
            Host::Domain("localhost") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Host::Domain(_) => None,
        };
        if let Some(address) = address {
            self.permit(address)?;
        }
        if url.scheme() == "http" && !address.is_some_and(|address| self.lists(address)) {
            return Err(EgressRefusal::PlainHttp);
        }
        Ok(VettedUrl(url))
    }
}

/// An upstream url that the policy let through. Its host's addresses are checked again at every connect.
#[derive(Clone, PartialEq, Eq)]
pub struct VettedUrl(Url);

impl VettedUrl {
    /// A url that was vetted when it was stored. Only stores call this; the connect-time check stays.
    ///
    /// # Errors
    /// [`EgressRefusal::NotUrl`] when the stored text is no url.
    pub fn stored(text: &str) -> Result<Self, EgressRefusal> {
        Url::parse(text).map(Self).map_err(|_| EgressRefusal::NotUrl)
    }

    /// The url.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for VettedUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

/// Whether an address is one that the public internet routes (IANA's special-purpose registries, RFC 6890 and its
/// successors). Written out since the standard library's `is_global` is not stable.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = a == 0
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        || v4.is_multicast()
        || (a == 100 && (64..128).contains(&b)) // shared address space, RFC 6598
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b == 18 || b == 19)) // benchmarking
        || a >= 240; // reserved and broadcast
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    // Only 2000::/3 is given out for unicast; everything else is special.
    if segments[0] & 0xe000 != 0x2000 {
        // NAT64 carries an IPv4 address, which decides.
        return segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] && is_public_v4(embedded_v4(segments[6], segments[7]));
    }
    match segments {
        // documentation, documentation, protocol assignments (Teredo among them)
        [0x2001, 0x0db8 | 0..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [0x2002, high, low, ..] => is_public_v4(embedded_v4(high, low)), // 6to4
        _ => true,
    }
}

fn embedded_v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(networks: &[&str]) -> EgressPolicy {
        EgressPolicy::new(networks.iter().map(|network| network.parse().expect("a network")).collect())
    }

    #[test]
    fn special_addresses_are_refused_unless_listed() {
        let special = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "3fff::1",
        ];
        for text in special {
            let address: IpAddr = text.parse().expect("an address");
            assert!(policy(&[]).permit(address).is_err(), "{text}");
        }
        assert!(policy(&["127.0.0.0/8"]).permit("::ffff:127.0.0.1".parse().expect("an address")).is_ok());
        assert!(policy(&["127.0.0.0/8"]).permit("10.0.0.1".parse().expect("an address")).is_err());
    }

    #[test]
    fn public_addresses_pass() {
        for text in ["1.1.1.1", "93.184.216.34", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::101:101"] {
            assert!(policy(&[]).permit(text.parse().expect("an address")).is_ok(), "{text}");
        }
    }

    #[test]
    fn urls_are_https_or_lead_into_an_allowed_network() {
        let loopback = policy(&["127.0.0.0/8"]);
        for good in [
            "https://mcp.example.com/mcp",
            "https://example.com:8443",
            "http://127.0.0.1:3001/mcp",
            "http://localhost:3001/mcp",
        ] {
            assert!(loopback.vet(good).is_ok(), "{good}");
        }
        let refused = [
            ("mcp.example.com", EgressRefusal::NotUrl),
            ("ftp://example.com", EgressRefusal::Scheme),
            ("file:///etc/passwd", EgressRefusal::Scheme),
            ("https://u:p@example.com", EgressRefusal::UserInfo),
            ("https://example.com/#x", EgressRefusal::Fragment),
            ("http://example.com/mcp", EgressRefusal::PlainHttp),
            ("http://1.1.1.1/mcp", EgressRefusal::PlainHttp),
        ];
        for (bad, why) in refused {
            assert_eq!(loopback.vet(bad).err(), Some(why), "{bad}");
        }
        // Every spelling of a loopback address is the same address to the parser.
        for bad in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://localhost/",
        ] {
            assert!(matches!(policy(&[]).vet(bad), Err(EgressRefusal::Address(_))), "{bad}");
        }
    }
}
