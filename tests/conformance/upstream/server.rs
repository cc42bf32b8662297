//! The server as rmcp asks it: which capabilities, and where each request goes.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult, CompletionInfo,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::listeners::Listeners;
use crate::sealed::Seal;
use crate::{call, prompts, resources, tools};

type Context = RequestContext<RoleServer>;

/// What a session has; what sessions share is behind the handles of `rmcp` and `Listeners`.
#[derive(Clone)]
pub struct Upstream {
    /// The streams of `subscriptions/listen`.
    pub listeners: Listeners,
    /// The tasks of everybody.
    pub tasks: TaskManager,
    /// The sessions, to close one's streams.
    pub sessions: Arc<LocalSessionManager>,
    /// What `requestState` is sealed with.
    pub seal: Seal,
    level: Arc<Mutex<LoggingLevel>>,
}

impl Upstream {
    /// A server whose sessions are kept here.
    pub fn new(sessions: Arc<LocalSessionManager>) -> Self {
        Self {
            listeners: Listeners::default(),
            tasks: TaskManager::new(),
            sessions,
            seal: Seal::new(),
            level: Arc::new(Mutex::new(LoggingLevel::Debug)),
        }
    }

    /// The same server with a log level of its own.
    pub fn for_a_session(&self) -> Self {
        Self { level: Arc::new(Mutex::new(LoggingLevel::Debug)), ..self.clone() }
    }

    /// Whether the session wants log messages of this level.
    pub fn wants(&self, level: LoggingLevel) -> bool {
        level as u8 >= *self.level.lock().unwrap_or_else(PoisonError::into_inner) as u8
    }
}

impl ServerHandler for Upstream {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("keyrack-conformance-upstream", env!("CARGO_PKG_VERSION")))
    }

    /// rmcp compares a call's `Mcp-Param-*` headers with this tool's schema.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    async fn call_tool(&self, call: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        call::call(self, call, context).await
    }

    async fn get_task(&self, task: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        self.tasks.get_task(&task.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, task: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.update_task(&task.task_id, task.input_responses)
    }

    async fn cancel_task(&self, task: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&task.task_id)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        prompts::list()
    }

    async fn get_prompt(&self, prompt: GetPromptRequestParams, _: Context) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(prompt)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        resources::list()
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        resources::templates()
    }

    async fn read_resource(
        &self,
        asked: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&asked.uri)
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        // The resources never change, so that there is nothing to remember.
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.listeners.until_cancelled(&context).await;
        Ok(())
    }

    async fn complete(&self, asked: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        let known = ["paris", "park", "party"];
        let values = known.into_iter().filter(|value| value.starts_with(&asked.argument.value)).map(str::to_owned);
        let info = CompletionInfo::with_all_values(values.collect());
        Ok(CompleteResult::new(info.map_err(|fault| ErrorData::internal_error(fault, None))?))
    }

    async fn set_level(&self, asked: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = asked.level;
        Ok(())
    }
}
