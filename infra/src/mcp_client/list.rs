//! What a server has. Lists come in pages, as many as the server likes; we read so many and no more. A list that is not
//! read to its end is a fault and never a shorter list: what is missing from it would look as if it were gone.

use futures_util::future::BoxFuture;
use rmcp::RoleClient;
use rmcp::model::{
    ErrorCode, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, Prompt, Resource, ResourceTemplate, ServerCapabilities, Tool,
};
use rmcp::service::{Peer, ServiceError};
use serde::Serialize;

use super::Session;
use super::fault::ClientFault;

/// How many pages a list may have.
pub const PAGES_MAX: usize = 100;
/// How many items a list may have.
pub const ITEMS_MAX: usize = 5_000;
/// How many bytes of JSON a list may be.
pub const BYTES_MAX: usize = 8 << 20;

/// Asks for one page of a list. A plain function whose future is boxed: what is made of closures over a borrowed session
/// cannot be seen to move between threads.
type Page<T> = fn(Peer<RoleClient>, Option<PaginatedRequestParams>) -> BoxFuture<'static, Asked<T>>;
type Asked<T> = Result<(Vec<T>, Option<String>), ServiceError>;

impl Session {
    /// The server's tools, in its order.
    ///
    /// # Errors
    /// [`ClientFault`]; too long a list is a [`ClientFault::Protocol`].
    pub async fn list_tools(&self) -> Result<Vec<Tool>, ClientFault> {
        let page: Page<_> = |peer, params| {
            Box::pin(async move {
                let ListToolsResult { tools, next_cursor, .. } = peer.list_tools(params).await?;
                Ok((tools, next_cursor))
            })
        };
        // Servers written by hand declare nothing and have tools all the same.
        self.whole(true, page).await
    }

    /// Its prompts.
    ///
    /// # Errors
    /// Like [`Session::list_tools`].
    pub async fn list_prompts(&self) -> Result<Vec<Prompt>, ClientFault> {
        let page: Page<_> = |peer, params| {
            Box::pin(async move {
                let ListPromptsResult { prompts, next_cursor, .. } = peer.list_prompts(params).await?;
                Ok((prompts, next_cursor))
            })
        };
        self.whole(self.has(|can| can.prompts.is_some()), page).await
    }

    /// Its resources.
    ///
    /// # Errors
    /// Like [`Session::list_tools`].
    pub async fn list_resources(&self) -> Result<Vec<Resource>, ClientFault> {
        let page: Page<_> = |peer, params| {
            Box::pin(async move {
                let ListResourcesResult { resources, next_cursor, .. } = peer.list_resources(params).await?;
                Ok((resources, next_cursor))
            })
        };
        self.whole(self.has(|can| can.resources.is_some()), page).await
    }

    /// Its templates of resources.
    ///
    /// # Errors
    /// Like [`Session::list_tools`].
    pub async fn list_resource_templates(&self) -> Result<Vec<ResourceTemplate>, ClientFault> {
        let page: Page<_> = |peer, params| {
            Box::pin(async move {
                let ListResourceTemplatesResult { resource_templates, next_cursor, .. } =
                    peer.list_resource_templates(params).await?;
                Ok((resource_templates, next_cursor))
            })
        };
        self.whole(self.has(|can| can.resources.is_some()), page).await
    }

    fn has(&self, capability: impl Fn(&ServerCapabilities) -> bool) -> bool {
        self.server().is_some_and(|server| capability(&server.capabilities))
    }

    /// All pages. A server that declares nothing of the kind is not asked; one that does and does not know the method
    /// has none.
    async fn whole<T: Serialize>(&self, declared: bool, page: Page<T>) -> Result<Vec<T>, ClientFault> {
        let (mut items, mut bytes, mut cursor) = (Vec::new(), 0, None);
        if !declared {
            return Ok(items);
        }
        for _page in 0..PAGES_MAX {
            let asked = PaginatedRequestParams::default().with_cursor(cursor);
            let (more, next) = match self.within(page(self.peer().clone(), Some(asked))).await {
                Err(ClientFault::Server(error)) if error.code == ErrorCode::METHOD_NOT_FOUND && items.is_empty() => {
                    return Ok(items);
                }
                answer => answer?,
            };
            bytes += more.iter().map(length).sum::<usize>();
            items.extend(more);
            if items.len() > ITEMS_MAX || bytes > BYTES_MAX {
                return Err(ClientFault::Protocol("a list of its is too long"));
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(items);
            }
        }
        Err(ClientFault::Protocol("a list of its has too many pages"))
    }
}

/// The bytes of a value as JSON, without writing them.
fn length(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What came as JSON is JSON.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}
