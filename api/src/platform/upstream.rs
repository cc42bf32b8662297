//! Tools of servers: their names, and calling them.

use std::sync::Arc;

use domain::access::decide::ReachableServer;
use domain::call::{AnswerFault, Outcome, Telemetry};
use domain::connection::SharedConnection;
use domain::connection::service::ConnectionFault;
use domain::server::AuthScope;
use domain::server::port::ServerName;
use domain::time::{Clock, SystemClock};
use infra::mcp_client::{
    CallToolRequestParams, CallToolResponse, ClientFault, Deadlines, Era, HeaderFault, Session, Tool, connect,
};
use infra::upstream::Target;
use rmcp::ErrorData;
use rmcp::model::{JsonObject, ResultType};
use tokio_util::sync::CancellationToken;

use super::caller::{Asker, Caller};
use super::lists::{ToolLists, Wait};
use super::{catalogue, telemetry};
use crate::code::Code;
use crate::compose::Services;
use crate::gateway::recorder::CallUnderWay;
use crate::problem::Problem;
use crate::v1::connections::link::required;

/// A tool's name here: its server's slug, which has no underscore, and its own.
#[must_use]
pub fn joined(slug: &str, tool: &str) -> String {
    format!("{slug}_{tool}")
}

/// The slug and the tool of a name.
#[must_use]
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once('_').filter(|(slug, tool)| !slug.is_empty() && !tool.is_empty())
}

/// How a call of a server's tool ended, if not with the server's answer.
#[derive(Debug)]
pub enum NotCalled {
    /// There is no such tool for this caller.
    Unknown,
    /// The caller may not.
    Denied(Problem),
    /// It was tried.
    Failed(Problem),
    /// The server answered with an error of the protocol, which is the caller's as it is.
    Answered(ErrorData),
}

impl From<Problem> for NotCalled {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

/// A server with the credential that it is called with.
#[derive(Clone)]
pub struct Reached {
    /// The server.
    pub server: ReachableServer,
    /// The tenant's own connection, where the server takes one.
    pub connection: Option<SharedConnection>,
}

impl Reached {
    /// Finds the connection of a server that needs one.
    ///
    /// # Errors
    /// [`ConnectionFault`]
    pub async fn with_connection(asker: &Asker, server: ReachableServer) -> Result<Self, ConnectionFault> {
        let connection = match server.record().auth.scope() {
            AuthScope::Organization => None,
            AuthScope::Tenant => Some(asker.services.connections.for_call(&asker.grant, &server).await?),
        };
        Ok(Self { server, connection })
    }

    /// Greets the server on the caller's behalf.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn greet(self, asker: Arc<Asker>, answer: Answer, era: Option<Era>) -> Result<Session, Problem> {
        let (reached, asks) = (self.clone(), Arc::clone(&asker));
        let record = self.server.record();
        let unusable = |_| Problem::because(Code::UpstreamError, "the server's URL cannot be connected to");
        let target = Target::of(record.url.as_url()).map_err(unusable)?;
        let deadlines = answer.deadlines(&asker.services, record);
        let visitor = asker.services.visitor.clone();
        let headers = move || {
            let passport = asker.services.passports.issue(&asker.grant, &self.server, self.connection.clone());
            passport.map(|passport| passport.headers()).map_err(HeaderFault::from)
        };
        let greeted = connect(&visitor, target, Arc::new(headers), deadlines, era).await;
        Ok(greeted.inspect_err(|fault| reached.noted(&asks, fault))?)
    }

    /// Notes that the server did not take the credential: one that was granted may be renewed.
    fn noted(&self, asker: &Asker, fault: &ClientFault) {
        if let (ClientFault::Refused(_), Some(connection)) = (fault, &self.connection) {
            asker.services.connections.doubted(connection, self.server.record());
        }
    }
}

/// How long a server may take for an answer.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// A list: nobody waits for long.
    List,
    /// A tool's result: as long as the server may be silent in the gateway.
    Tool,
}

/// How long a server may take to be greeted, and for a page of a list.
const PROMPT: std::time::Duration = std::time::Duration::from_secs(10);

impl Answer {
    fn deadlines(self, services: &Services, server: &domain::server::ServerRecord) -> Deadlines {
        let idle = server.timeouts.idle_or(services.settings.upstream_idle_timeout);
        Deadlines {
            connect: server.timeouts.connect_or(services.settings.upstream_connect_timeout),
            handshake: idle.min(PROMPT),
            answer: match self {
                Self::List => idle.min(PROMPT),
                Self::Tool => idle,
            },
        }
    }
}

/// A tool as its server lists it, under its name here. Whether the caller may call it is another question.
pub async fn listed(caller: &Arc<Caller>, server: ReachableServer, name: &str) -> Option<Tool> {
    let (_, own) = split(name)?;
    if caller.options.system_only || !caller.options.includes(server.record().id) {
        return None;
    }
    let reached = Reached::with_connection(caller, server).await.ok()?;
    let listed = caller.services.tool_lists.of(&caller.asker, &reached, Wait::ToTheEnd).await.ok()?;
    let mut tool = listed.tools.iter().find(|known| known.own.name == own)?.own.clone();
    tool.name = name.to_owned().into();
    Some(tool)
}

/// Calls a server's tool.
///
/// # Errors
/// [`NotCalled`]
pub async fn call(
    caller: &Arc<Caller>,
    lists: &ToolLists,
    mut request: CallToolRequestParams,
    cancel: &CancellationToken,
) -> Result<CallToolResponse, NotCalled> {
    let name = request.name.to_string();
    let (slug, tool) = split(&name).ok_or(NotCalled::Unknown)?;
    let server = caller.connect(ServerName::parse(slug).as_ref()).await.map_err(|problem| match problem.code() {
        Code::ServerNotFound => NotCalled::Unknown,
        Code::RateLimited => NotCalled::Failed(problem),
        _ => NotCalled::Denied(problem),
    })?;
    let record = Arc::clone(server.record());
    let told = |fault| NotCalled::Failed(required(&caller.services, &caller.grant, &record, fault));
    let reached = Reached::with_connection(caller, server).await.map_err(told)?;
    // What is listed is what can be called: also where changed tools wait for an approval.
    let listed = catalogue::offered(&caller.asker, lists, &reached, Wait::ToTheEnd)
        .await
        .map_err(|trouble| NotCalled::Failed(trouble.problem()))?;
    let offered = listed.tools.iter().find(|known| known.own.name == tool).ok_or(NotCalled::Unknown)?;
    let mut arguments = request.arguments.take().unwrap_or_default();
    let said =
        if telemetry::is_the_tools_own(&offered.own.input_schema) { None } else { telemetry::take(&mut arguments) };
    let mut passed_on = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    // An answer to what the server asked for in the middle of this call.
    passed_on.input_responses = request.input_responses;
    passed_on.request_state = request.request_state;
    recorded(caller, &reached, (&offered.own, listed.era, said), passed_on, cancel).await.map(typed)
}

/// An answer that says what it is: a modern caller takes no other, and a legacy server says nothing of the kind. rmcp
/// leaves it out for legacy callers.
fn typed(mut answer: CallToolResponse) -> CallToolResponse {
    if let CallToolResponse::Complete(result) = &mut answer {
        result.result_type.get_or_insert(ResultType::COMPLETE);
    }
    answer
}

async fn recorded(
    caller: &Arc<Caller>,
    reached: &Reached,
    (tool, era, said): (&Tool, Era, Option<Telemetry>),
    request: CallToolRequestParams,
    cancel: &CancellationToken,
) -> Result<CallToolResponse, NotCalled> {
    use domain::key::port::LiveKey;
    let about = (reached.server.record().id, &*request.name);
    let (services, tenant) = (&caller.services, caller.grant.tenant());
    let call = CallUnderWay::of_tool(services, caller.request_id(), caller.live.facts(), tenant, about).await;
    let mut call = call.map_err(Problem::from)?;
    call.told(said);
    call.received(length(request.arguments.as_ref()));
    let answered = send(&caller.asker, reached, (tool, era), request, cancel).await;
    call.concluded(&answered);
    answered
}

/// Greets a server and calls its tool, once: with the passport of the asker, and while the server's health lets it.
///
/// # Errors
/// [`NotCalled::Failed`] or [`NotCalled::Answered`]
pub async fn send(
    asker: &Arc<Asker>,
    reached: &Reached,
    (tool, era): (&Tool, Era),
    request: CallToolRequestParams,
    cancel: &CancellationToken,
) -> Result<CallToolResponse, NotCalled> {
    let services = &asker.services;
    if let Some(connection) = &reached.connection {
        services.connections.used(connection);
    }
    let passport = services.passports.issue(&asker.grant, &reached.server, reached.connection.clone())?;
    let attempt = passport.health.begin(passport.caller).map_err(Problem::from)?;
    let session = reached.clone().greet(Arc::clone(asker), Answer::Tool, Some(era)).await?;
    session.knows(tool);
    let answer = session.call_tool(request, cancel).await;
    tokio::spawn(async move { session.close().await });
    let answer = match answer {
        Ok(answer) => Ok(answer),
        Err(ClientFault::Server(error)) => Err(NotCalled::Answered(error)),
        Err(fault) => {
            reached.noted(asker, &fault);
            return Err(Problem::from(fault).into());
        }
    };
    attempt.answered(http::StatusCode::OK, SystemClock.now());
    answer
}

impl CallUnderWay {
    /// How a call of a tool that Keyrack itself made ended.
    pub(super) fn concluded(mut self, answered: &Result<CallToolResponse, NotCalled>) {
        let ok = actix_web::http::StatusCode::OK;
        match answered {
            Ok(answer) => {
                self.answered(ok);
                // What asks for input is part of a conversation, and its size says nothing.
                if let CallToolResponse::Complete(result) = answer {
                    let length = serde_json::to_vec(result).map_or(0, |text| text.len());
                    self.passed(length, (result.is_error == Some(true)).then_some(AnswerFault::Tool));
                }
                self.ended(Outcome::Answered);
            }
            Err(NotCalled::Answered(error)) => {
                self.answered(ok);
                self.passed(error.message.len(), Some(AnswerFault::Rpc(i64::from(error.code.0))));
                self.ended(Outcome::Answered);
            }
            Err(NotCalled::Failed(problem) | NotCalled::Denied(problem)) => self.came_to_nothing(problem),
            // It was never let begin.
            Err(NotCalled::Unknown) => {}
        }
    }
}

/// How long arguments are, in bytes of JSON.
#[must_use]
pub fn length(arguments: Option<&JsonObject>) -> usize {
    arguments.and_then(|arguments| serde_json::to_vec(arguments).ok()).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_at_the_end_of_the_slug() {
        assert_eq!(split(&joined("my-notes", "add_note")), Some(("my-notes", "add_note")));
        assert_eq!(split(&joined("a", "_b")), Some(("a", "_b")));
        for none in ["", "a", "_", "_b", "a_"] {
            assert_eq!(split(none), None, "{none}");
        }
    }
}
