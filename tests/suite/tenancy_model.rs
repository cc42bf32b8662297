//! A million generated requests, decided by the product's pure functions and by a reference model that was written from
//! the contract's table alone. The model shares no code with the product: it reads raw header bytes and the raw query.

use std::collections::HashSet;
use std::sync::Arc;

use domain::access::{PermissionSet, Role};
use domain::id::{OrganizationId, TenantOrgId, TenantUserId, UserId};
use domain::key::presented::{NoToken, select};
use domain::key::{KeyFacts, KeyId, KeyServers, KeyType};
use domain::organization::{FeatureSet, OrganizationRef, UserRef};
use domain::tenant::resolve::{Admission, claim};
use domain::tenant::{
    Presence, Standing, Surface, Tenant, TenantClaim, TenantField, TenantParams, TenantRefusal, TenantRule,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const REQUESTS: usize = 1_000_000;

/// What both sides say of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Unauthenticated,
    InvalidTenant,
    Required(&'static str),
    NotAllowed,
    Suspended,
    Owner,
    Organization,
    Tenant { org: Option<String>, user: Option<String>, first_use: bool },
}

/// A key, the tenants it lists, and the tenants that exist.
struct World {
    facts: KeyFacts,
    listed_users: HashSet<String>,
    listed_orgs: HashSet<String>,
    orgs_with_all_users: HashSet<String>,
    listed_org_users: HashSet<(String, String)>,
    known: HashSet<(Option<String>, Option<String>)>,
    suspended: HashSet<(Option<String>, Option<String>)>,
}

struct Request {
    x_api_key: Vec<Vec<u8>>,
    authorization: Vec<Vec<u8>>,
    query: String,
    tenant_surface: bool,
}

// === the product ===

fn product(world: &World, request: &Request, token: &str) -> Verdict {
    let presented =
        select(request.x_api_key.iter().map(Vec::as_slice), request.authorization.iter().map(Vec::as_slice));
    match presented {
        Ok(presented) if presented == token => {}
        Ok(_) | Err(NoToken::Missing | NoToken::Conflicting | NoToken::NotText) => return Verdict::Unauthenticated,
    }
    let Ok(params) = TenantParams::parse(&request.query) else { return Verdict::InvalidTenant };
    let surface = if request.tenant_surface { Surface::Tenant } else { Surface::Elsewhere };
    let claim = match claim(&world.facts, surface, params) {
        Ok(claim) => claim,
        Err(refusal) => return refused(refusal),
    };
    match claim.admit(world.facts.tenants, &standing(world, &claim)) {
        Ok(Admission::Known(tenant)) => admitted(&tenant),
        Ok(Admission::FirstUse) => {
            let TenantClaim::Below { org, user } = claim else { panic!("only a tenant has a first use") };
            Verdict::Tenant { org: org.map(|id| id.to_string()), user: user.map(|id| id.to_string()), first_use: true }
        }
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: TenantRefusal) -> Verdict {
    match refusal {
        TenantRefusal::Required { field: TenantField::OrgId } => Verdict::Required("org_id"),
        TenantRefusal::Required { field: TenantField::UserId } => Verdict::Required("user_id"),
        TenantRefusal::NotAllowed => Verdict::NotAllowed,
        TenantRefusal::Suspended => Verdict::Suspended,
    }
}

fn admitted(tenant: &Tenant) -> Verdict {
    match tenant {
        Tenant::Owner => Verdict::Owner,
        Tenant::Organization => Verdict::Organization,
        Tenant::Below { .. } => Verdict::Tenant {
            org: tenant.org().map(ToString::to_string),
            user: tenant.user().map(ToString::to_string),
            first_use: false,
        },
    }
}

/// What a store would answer.
fn standing(world: &World, claim: &TenantClaim) -> Standing {
    let TenantClaim::Below { org, user } = claim else { return Standing { listed: true, org: None, user: None } };
    let org = org.as_ref().map(ToString::to_string);
    let user = user.as_ref().map(ToString::to_string);
    let listed = match (&org, &user) {
        (None, Some(user)) => world.listed_users.contains(user),
        (Some(org), None) => world.listed_orgs.contains(org),
        (Some(org), Some(user)) => {
            world.orgs_with_all_users.contains(org) || world.listed_org_users.contains(&(org.clone(), user.clone()))
        }
        (None, None) => false,
    };
    fn presence<I: Default>(world: &World, place: &(Option<String>, Option<String>)) -> Presence<I> {
        if world.suspended.contains(place) {
            Presence::Suspended(I::default())
        } else if world.known.contains(place) {
            Presence::Active(I::default())
        } else {
            Presence::Unknown
        }
    }
    let org_place = org.as_ref().map(|org| (Some(org.clone()), None));
    let user_place = user.as_ref().map(|user| (org.clone(), Some(user.clone())));
    Standing {
        listed,
        org: org_place.map(|place| presence::<TenantOrgId>(world, &place)),
        user: user_place.map(|place| presence::<TenantUserId>(world, &place)),
    }
}

// === the reference model ===

fn model(world: &World, request: &Request, token: &str) -> Verdict {
    if !model_authenticates(request, token) {
        return Verdict::Unauthenticated;
    }
    let (Ok(org), Ok(user)) = (model_param(&request.query, "org_id"), model_param(&request.query, "user_id")) else {
        return Verdict::InvalidTenant;
    };
    let own_org = |org: &str| org == &*world.facts.organization.slug || org == world.facts.organization.id.to_string();
    let surface = request.tenant_surface;
    match world.facts.kind {
        KeyType::Solo => {
            let foreign_org = org.as_deref().is_some_and(|org| !own_org(org));
            let foreign_user = user.as_deref().is_some_and(|user| user != world.facts.owner.id.to_string());
            if foreign_org || foreign_user { Verdict::NotAllowed } else { Verdict::Owner }
        }
        KeyType::Client => {
            if user.is_none() && surface {
                return Verdict::Required("user_id");
            }
            if org.as_deref().is_some_and(|org| !own_org(org)) {
                return Verdict::NotAllowed;
            }
            let Some(user) = user else { return Verdict::Organization };
            let any = world.facts.tenants == TenantRule::Users { any: true };
            if !any && !world.listed_users.contains(&user) {
                return Verdict::NotAllowed;
            }
            model_state(world, None, Some(user))
        }
        KeyType::Platform => {
            let Some(org) = org else {
                return if surface || user.is_some() { Verdict::Required("org_id") } else { Verdict::Organization };
            };
            if user.is_none() && surface {
                return Verdict::Required("user_id");
            }
            let any = world.facts.tenants == TenantRule::Orgs { any: true };
            let allowed = match &user {
                _ if any => true,
                None => world.listed_orgs.contains(&org),
                Some(user) => {
                    world.listed_orgs.contains(&org)
                        && (world.orgs_with_all_users.contains(&org)
                            || world.listed_org_users.contains(&(org.clone(), user.clone())))
                }
            };
            if allowed { model_state(world, Some(org), user) } else { Verdict::NotAllowed }
        }
    }
}

fn model_state(world: &World, org: Option<String>, user: Option<String>) -> Verdict {
    let mut places = Vec::new();
    if org.is_some() {
        places.push((org.clone(), None));
    }
    if user.is_some() {
        places.push((org.clone(), user.clone()));
    }
    // A user below an org that was never seen is unknown too, so only its org can be suspended.
    let unknown_org = org.is_some() && !world.known.contains(&(org.clone(), None));
    if !unknown_org && places.iter().any(|place| world.suspended.contains(place)) {
        return Verdict::Suspended;
    }
    let first_use = places.iter().any(|place| !world.known.contains(place));
    Verdict::Tenant { org, user, first_use }
}

fn model_authenticates(request: &Request, token: &str) -> bool {
    let mut values: Vec<Vec<u8>> = request.x_api_key.iter().map(|value| trimmed(value)).collect();
    for line in &request.authorization {
        let line = trimmed(line);
        let mut words = line.splitn(2, |byte| *byte == b' ' || *byte == b'\t');
        let scheme = words.next().unwrap_or_default().to_ascii_lowercase();
        if scheme == b"bearer" {
            values.push(trimmed(words.next().unwrap_or_default()));
        }
    }
    !values.is_empty() && values.iter().all(|value| value == token.as_bytes())
}

fn trimmed(value: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |end| end + 1);
    value[start..end].to_vec()
}

/// The parameter's value; an error when it is repeated or cannot be an id.
fn model_param(query: &str, wanted: &str) -> Result<Option<String>, ()> {
    let mut found = Vec::new();
    for pair in query.split('&') {
        let (name, value) = match pair.find('=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, ""),
        };
        if model_decode(name).is_ok_and(|name| name == wanted.as_bytes()) {
            found.push(value);
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [value] => {
            let text = String::from_utf8(model_decode(value)?).map_err(|_| ())?;
            let control = text.chars().any(|c| (c as u32) < 0x20 || (0x7f..0xa0).contains(&(c as u32)));
            if text.is_empty() || text.len() > 128 || control { Err(()) } else { Ok(Some(text)) }
        }
        _ => Err(()),
    }
}

fn model_decode(text: &str) -> Result<Vec<u8>, ()> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(())?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(());
            }
            out.push(u8::from_str_radix(digits, 16).map_err(|_| ())?);
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    Ok(out)
}

// === generation ===

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

/// Ids that look alike: other case, other composition of accents, blanks, separators.
const IDS: [&str; 14] = [
    "acme",
    "Acme",
    "acme ",
    "marina",
    "Marina",
    "mari%6Ea",
    "otto",
    "mé",
    "me\u{301}",
    "a+b",
    "a b",
    "*",
    "null",
    "globex",
];

fn world(random: &mut StdRng) -> World {
    let kind = *pick(random, &KeyType::ALL);
    let any = random.random_bool(0.4);
    let decoded: Vec<String> = IDS.iter().map(|id| (*id).to_owned()).collect();
    let mut some =
        |share: f64| -> HashSet<String> { decoded.iter().filter(|_| random.random_bool(share)).cloned().collect() };
    let (listed_users, listed_orgs) = (some(0.4), some(0.5));
    let orgs_with_all_users: HashSet<String> = some(0.5).intersection(&listed_orgs).cloned().collect();
    let mut pairs = HashSet::new();
    let mut known = HashSet::new();
    let mut suspended = HashSet::new();
    for org in &decoded {
        if listed_orgs.contains(org) && random.random_bool(0.6) {
            pairs.insert((org.clone(), pick(random, &decoded).clone()));
        }
        let parent_known = random.random_bool(0.6);
        for place in [(Some(org.clone()), None), (None, Some(org.clone()))] {
            if parent_known {
                if random.random_bool(0.15) {
                    suspended.insert(place.clone());
                }
                known.insert(place);
            }
        }
        if parent_known {
            let user = pick(random, &decoded).clone();
            let place = (Some(org.clone()), Some(user));
            if random.random_bool(0.2) {
                suspended.insert(place.clone());
            }
            known.insert(place);
        }
    }
    let facts = KeyFacts {
        id: KeyId::from_token_part("0123456789abcdef").expect("an id"),
        name: "a key".into(),
        hint: "kr_…".into(),
        kind,
        organization: OrganizationRef {
            id: OrganizationId::new(),
            slug: "acme".into(),
            name: "Acme".into(),
            features: FeatureSet::default(),
        },
        owner: UserRef { id: UserId::new(), email: "a@example.com".into(), display_name: "A".into() },
        role: Role::Viewer,
        permissions: PermissionSet::full(Role::Viewer),
        servers: KeyServers::All,
        tenants: match kind {
            KeyType::Solo => TenantRule::Owner,
            KeyType::Client => TenantRule::Users { any },
            KeyType::Platform => TenantRule::Orgs { any },
        },
        tenants_version: 0,
        rate_limit: None,
        expires_at: None,
    };
    World { facts, listed_users, listed_orgs, orgs_with_all_users, listed_org_users: pairs, known, suspended }
}

#[expect(clippy::format_collect, reason = "plainer, and the generator need not be fast")]
fn value(random: &mut StdRng, world: &World) -> String {
    match random.random_range(0..20) {
        0 => String::new(),
        1 => "a".repeat(random.random_range(120..140)),
        2 => "%C3%A9".repeat(random.random_range(60..70)),
        3 => (*pick(random, &["%00", "a%0Ab", "%7F", "%C2%85", "%1F"])).to_owned(),
        4 => (*pick(random, &["%FF", "%zz", "%", "%4", "%C3", "%C3%28", "%u0041", "%ED%A0%80"])).to_owned(),
        5 => world.facts.organization.id.to_string(),
        6 => world.facts.owner.id.to_string(),
        7 => world.facts.owner.id.to_string().to_uppercase(),
        8 => pick(random, &IDS).bytes().map(|byte| format!("%{byte:02X}")).collect(),
        9 => pick(random, &IDS).bytes().map(|byte| format!("%{byte:02x}")).collect(),
        10 => "mar%69na".to_owned(),
        _ => (*pick(random, &IDS)).to_owned(),
    }
}

fn query(random: &mut StdRng, world: &World) -> String {
    let mut pairs = Vec::new();
    for name in ["org_id", "user_id"] {
        let times = *pick(random, &[0, 0, 1, 1, 1, 1, 1, 2]);
        for _ in 0..times {
            let name = match random.random_range(0..12) {
                0 => name.replace('_', "%5F"),
                1 => name.to_uppercase(),
                2 => format!("%{:02x}{}", name.as_bytes()[0], &name[1..]),
                _ => name.to_owned(),
            };
            let separator = if random.random_bool(0.03) { "" } else { "=" };
            let value = if separator.is_empty() { String::new() } else { value(random, world) };
            pairs.push(format!("{name}{separator}{value}"));
        }
    }
    for noise in ["projectId=x", "", "user_id2=x", "xuser_id=y", "%zz=1", "a==b"] {
        if random.random_bool(0.1) {
            pairs.push(noise.to_owned());
        }
    }
    if !pairs.is_empty() {
        let turn = random.random_range(0..pairs.len());
        pairs.rotate_left(turn);
    }
    pairs.join("&")
}

fn headers(random: &mut StdRng, token: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let other = "kr_other";
    let value =
        |random: &mut StdRng| if random.random_bool(0.93) { token } else { *pick(random, &[other, "", "KR", " "]) };
    let mut keys = Vec::new();
    let mut authorizations = Vec::new();
    for _ in 0..*pick(random, &[0, 1, 1, 1, 2]) {
        let padding = *pick(random, &["", "", " ", "\t"]);
        keys.push(format!("{padding}{}{padding}", value(random)).into_bytes());
    }
    for _ in 0..*pick(random, &[0, 0, 1, 1, 2]) {
        let scheme = *pick(random, &["Bearer", "bearer", "BEARER", "bEaReR", "Bearer", "Basic", "Bearertoken", ""]);
        let blank = *pick(random, &[" ", "  ", "\t", " "]);
        authorizations.push(format!("{scheme}{blank}{}", value(random)).into_bytes());
    }
    if random.random_bool(0.01) {
        keys.push(vec![0xff, 0xfe]);
    }
    (keys, authorizations)
}

#[test]
fn a_million_generated_requests_get_the_verdict_of_the_reference_model() {
    let seed = std::env::var("KEYRACK_MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let seen: Vec<HashSet<String>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(seed + thread as u64, REQUESTS.div_ceil(threads))))
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no disagreement")).collect()
    });
    let kinds: HashSet<String> = seen.into_iter().flatten().collect();
    // The generator must reach every verdict, or agreement means little.
    for kind in [
        "Unauthenticated",
        "InvalidTenant",
        "Required(\"org_id\")",
        "Required(\"user_id\")",
        "NotAllowed",
        "Suspended",
        "Owner",
        "Organization",
        "Tenant",
    ] {
        assert!(kinds.contains(kind), "no generated request was {kind}: {kinds:?}");
    }
}

fn run(seed: u64, requests: usize) -> HashSet<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let token = "kr_0123456789abcdef_secret";
    let mut kinds = HashSet::new();
    let mut current = Arc::new(world(&mut random));
    for number in 0..requests {
        if number % 50 == 0 {
            current = Arc::new(world(&mut random));
        }
        let (x_api_key, authorization) = headers(&mut random, token);
        let request = Request {
            x_api_key,
            authorization,
            query: query(&mut random, &current),
            tenant_surface: random.random_bool(0.5),
        };
        let (ours, theirs) = (product(&current, &request, token), model(&current, &request, token));
        assert_eq!(
            ours, theirs,
            "seed {seed}, request {number}: {:?} {:?} ?{} surface {} key {:?}",
            request.x_api_key, request.authorization, request.query, request.tenant_surface, current.facts
        );
        let name = format!("{ours:?}");
        kinds.insert(name.split(' ').next().unwrap_or_default().to_owned());
    }
    kinds
}
