//! What the writer of call records leaves for the fold: the calls of one batch of one organization, packed, in the same
//! transaction as the records. Some twenty bytes a call, and each name once.

use std::collections::HashMap;
use std::hash::Hash;

use smol_str::SmolStr;
use uuid::Uuid;

use crate::call::{CallRecord, SessionTag};
use crate::id::ServerId;
use crate::key::KeyId;
use crate::redact;
use crate::tenant::TenantText;
use crate::time::Timestamp;
use crate::varint::{take, take_bytes, take_signed, write, write_bytes, write_signed};

use super::subject::{Subject, TenantName};

/// The first byte of the stored form.
const VERSION: u8 = 1;
const FAILED: u64 = 1;
const TOOL: u64 = 2;
const TENANT: u64 = 4;
const SESSION: u64 = 8;
const INTENT: u64 = 16;
const FRUSTRATED: u64 = 32;

/// A call as far as insights go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeCall {
    /// When it began.
    pub at: Timestamp,
    /// The request; nil of a call without an intent, which needs no order among those of the same microsecond.
    pub request_id: Uuid,
    /// The key.
    pub key: KeyId,
    /// The server.
    pub server: ServerId,
    /// The tool.
    pub tool: Option<SmolStr>,
    /// The tenant.
    pub tenant: Option<TenantName>,
    /// The session, where the protocol version has sessions.
    pub session: Option<SessionTag>,
    /// Whether it went wrong.
    pub failed: bool,
    /// Whether its model said what did not go well.
    pub frustrated: bool,
    /// Microseconds until its answer began, or until it ended without one.
    pub latency: u64,
    /// What its model said the person wants, without secrets.
    pub intent: Option<String>,
}

impl From<&CallRecord> for IntakeCall {
    fn from(call: &CallRecord) -> Self {
        let said = call.telemetry.as_deref();
        let latency = call.first_byte.unwrap_or(call.took);
        let intent = said.and_then(|said| said.intent.as_deref()).map(|text| redact::text(text).into_owned());
        Self {
            at: call.at,
            request_id: if intent.is_some() { call.request_id } else { Uuid::nil() },
            key: call.key,
            server: call.server,
            tool: call.tool.as_ref().map(|tool| redact::text(tool.as_str()).into()),
            tenant: TenantName::of(call.tenant_org.as_ref(), call.tenant_user.as_ref()),
            session: call.session,
            failed: call.went_wrong(),
            frustrated: said.is_some_and(crate::call::Telemetry::is_frustrated),
            latency: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            intent,
        }
    }
}

/// The bytes are no intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an intake of calls")]
pub struct MalformedIntake;

/// Each value once, by number.
struct Numbered<T> {
    numbers: HashMap<T, u64>,
    written: Vec<u8>,
}

impl<T: Eq + Hash> Numbered<T> {
    fn new() -> Self {
        Self { numbers: HashMap::new(), written: Vec::new() }
    }

    fn number(&mut self, value: T, bytes: impl FnOnce(&T, &mut Vec<u8>)) -> u64 {
        let next = self.numbers.len() as u64;
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        bytes(&value, &mut self.written);
        self.numbers.insert(value, next);
        next
    }
}

/// Packs and unpacks the calls of a batch.
pub struct Intake;

impl Intake {
    /// The form for the store.
    pub fn pack<'a>(calls: impl IntoIterator<Item = &'a CallRecord>) -> Vec<u8> {
        let (mut servers, mut keys) = (Numbered::new(), Numbered::new());
        let (mut tools, mut tenants) = (Numbered::new(), Numbered::new());
        let (mut packed, mut before) = (Vec::new(), 0);
        for call in calls {
            let at = call.at.as_micros();
            write_signed(at.wrapping_sub(before), &mut packed);
            before = at;
            let said = call.telemetry.as_deref();
            let intent = said.and_then(|said| said.intent.as_deref());
            let tenant = (call.tenant_org.as_ref(), call.tenant_user.as_ref());
            let has_tenant = tenant.0.is_some() || tenant.1.is_some();
            let frustrated = said.is_some_and(crate::call::Telemetry::is_frustrated);
            let flags = [
                (call.went_wrong(), FAILED),
                (call.tool.is_some(), TOOL),
                (has_tenant, TENANT),
                (call.session.is_some(), SESSION),
                (intent.is_some(), INTENT),
                (frustrated, FRUSTRATED),
            ];
            write(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(), &mut packed);
            let latency = call.first_byte.unwrap_or(call.took);
            write(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), &mut packed);
            let server = |server: &ServerId, out: &mut Vec<u8>| out.extend_from_slice(server.as_uuid().as_bytes());
            write(servers.number(call.server, server), &mut packed);
            let key = |key: &KeyId, out: &mut Vec<u8>| out.extend_from_slice(key.as_token_part().as_bytes());
            write(keys.number(call.key, key), &mut packed);
            if let Some(tool) = &call.tool {
                let name = |name: &&str, out: &mut Vec<u8>| write_bytes(redact::text(name).as_bytes(), out);
                write(tools.number(tool.as_str(), name), &mut packed);
            }
            if has_tenant {
                let name = |(org, user): &(Option<&TenantText>, Option<&TenantText>), out: &mut Vec<u8>| {
                    let tenant = TenantName { org: org.cloned(), user: user.cloned() };
                    write_bytes(&Subject::Tenant(tenant).to_bytes(), out);
                };
                write(tenants.number(tenant, name), &mut packed);
            }
            if let Some(session) = call.session {
                packed.extend_from_slice(&session.number().to_le_bytes());
            }
            if let Some(intent) = intent {
                packed.extend_from_slice(call.request_id.as_bytes());
                write_bytes(redact::text(intent).as_bytes(), &mut packed);
            }
        }
        let mut bytes = vec![VERSION];
        for names in [&servers.written, &keys.written, &tools.written, &tenants.written] {
            write_bytes(names, &mut bytes);
        }
        bytes.extend_from_slice(&packed);
        bytes
    }

    /// Reads the form of the store.
    ///
    /// # Errors
    /// [`MalformedIntake`]
    pub fn unpack(bytes: &[u8]) -> Result<Vec<IntakeCall>, MalformedIntake> {
        read(bytes).ok_or(MalformedIntake)
    }
}

fn read(bytes: &[u8]) -> Option<Vec<IntakeCall>> {
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let fixed = |bytes: &[u8]| bytes.chunks(16).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let servers: Option<Vec<ServerId>> = fixed(take_bytes(&mut rest)?).iter().map(|id| Subject::server(id)).collect();
    let keys: Option<Vec<KeyId>> = fixed(take_bytes(&mut rest)?).iter().map(|id| Subject::key(id)).collect();
    let mut tools = Vec::new();
    let mut names = take_bytes(&mut rest)?;
    while !names.is_empty() {
        tools.push(SmolStr::new(std::str::from_utf8(take_bytes(&mut names)?).ok()?));
    }
    let mut tenants = Vec::new();
    let mut names = take_bytes(&mut rest)?;
    while !names.is_empty() {
        tenants.push(Subject::tenant(take_bytes(&mut names)?)?);
    }
    let (servers, keys) = (servers?, keys?);
    let number = |number: u64| usize::try_from(number).ok();
    let (mut calls, mut at) = (Vec::new(), 0_i64);
    while !rest.is_empty() {
        at = at.wrapping_add(take_signed(&mut rest)?);
        let flags = take(&mut rest)?;
        let latency = take(&mut rest)?;
        let server = *servers.get(number(take(&mut rest)?)?)?;
        let key = *keys.get(number(take(&mut rest)?)?)?;
        let tool = if flags & TOOL == 0 { None } else { Some(tools.get(number(take(&mut rest)?)?)?.clone()) };
        let tenant = if flags & TENANT == 0 { None } else { Some(tenants.get(number(take(&mut rest)?)?)?.clone()) };
        let session = if flags & SESSION == 0 { None } else { Some(i64::from_le_bytes(fixed_length::<8>(&mut rest)?)) };
        let (request_id, intent) = if flags & INTENT == 0 {
            (Uuid::nil(), None)
        } else {
            let request_id = Uuid::from_bytes(fixed_length::<16>(&mut rest)?);
            (request_id, Some(String::from_utf8(take_bytes(&mut rest)?.to_vec()).ok()?))
        };
        calls.push(IntakeCall {
            at: Timestamp::from_micros(at),
            request_id,
            key,
            server,
            tool,
            tenant,
            session: session.map(SessionTag::of_stored),
            failed: flags & FAILED != 0,
            frustrated: flags & FRUSTRATED != 0,
            latency,
            intent,
        });
    }
    Some(calls)
}

fn fixed_length<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, rest) = bytes.split_first_chunk::<LENGTH>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::call::{AnswerFault, CallKind, Label, Method, Outcome, Telemetry};
    use crate::id::OrganizationId;

    fn call(number: u8) -> CallRecord {
        let text = |text: String| TenantText::new(&text).expect("an id");
        let telemetry = Telemetry {
            intent: Some(format!("find invoice {number}")),
            context: None,
            frustration: number.is_multiple_of(2).then(|| "slow".to_owned()),
        };
        CallRecord {
            at: Timestamp::from_micros(1_000_000 - i64::from(number) * 70),
            request_id: Uuid::from_u128(u128::from(number)),
            organization: OrganizationId::new(),
            key: KeyId::from_token_part(&format!("0123456789abcde{}", number % 3)).expect("an id"),
            server: ServerId::from_uuid(Uuid::from_u128(u128::from(number % 4))),
            tenant_org: (!number.is_multiple_of(5)).then(|| text(format!("org-{}", number % 5))),
            tenant_user: (!number.is_multiple_of(3)).then(|| text(format!("user-{}", number % 3))),
            kind: CallKind::Request,
            method: Some(Method::ToolsCall),
            tool: (!number.is_multiple_of(7)).then(|| Label::of_stored(&format!("tool-{}", number % 7))),
            version: None,
            session: (!number.is_multiple_of(2)).then(|| SessionTag::of_stored(-i64::from(number))),
            outcome: if number.is_multiple_of(6) { Outcome::Cancelled } else { Outcome::Answered },
            status: Some(200),
            fault: number.is_multiple_of(4).then_some(AnswerFault::Tool),
            request_bytes: 1,
            response_bytes: 1,
            first_byte: (!number.is_multiple_of(6)).then(|| Duration::from_micros(u64::from(number))),
            took: Duration::from_millis(u64::from(number)),
            telemetry: (number % 4 > 1).then(|| Box::new(telemetry)),
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(numbers in proptest::collection::vec(any::<u8>(), 0..60)) {
            let calls: Vec<CallRecord> = numbers.into_iter().map(call).collect();
            let unpacked = Intake::unpack(&Intake::pack(&calls)).expect("its own form");
            prop_assert_eq!(unpacked, calls.iter().map(IntakeCall::from).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Intake::unpack(&[&[VERSION], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn a_secret_in_an_intent_or_a_tools_name_is_not_packed() {
        let secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
        let mut call = call(3);
        call.tool = Some(Label::of_stored(secret));
        call.telemetry = Some(Box::new(Telemetry { intent: Some(format!("use {secret}")), ..Telemetry::default() }));
        let packed = Intake::pack([&call]);
        assert!(!packed.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
