//! Who listens for changes of the lists, by `subscriptions/listen`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::service::{SubscriptionContext, SubscriptionSink};

/// The open streams.
#[derive(Clone, Default)]
pub struct Listeners {
    open: Arc<Mutex<HashMap<u64, SubscriptionSink>>>,
    next: Arc<AtomicU64>,
}

impl Listeners {
    /// Keeps a stream open until its client leaves.
    pub async fn until_cancelled(&self, context: &SubscriptionContext) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, context.sink().clone());
        context.cancelled().await;
        self.lock().remove(&number);
    }

    /// Tells those who asked for it that the tools changed.
    pub async fn tools_changed(&self) {
        for sink in self.all() {
            // Whoever left, or did not ask for it, is not told; neither is this caller's matter.
            let _ = sink.notify_tool_list_changed().await;
        }
    }

    /// Tells those who asked for it that the prompts changed.
    pub async fn prompts_changed(&self) {
        for sink in self.all() {
            let _ = sink.notify_prompt_list_changed().await;
        }
    }

    fn all(&self) -> Vec<SubscriptionSink> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, SubscriptionSink>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
