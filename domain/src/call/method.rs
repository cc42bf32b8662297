//! Methods of the protocol, so that a record of a usual call copies no text.

use super::Label;
use crate::key::TokenKeys;

macro_rules! methods {
    ($($variant:ident = $name:literal,)+) => {
        /// A JSON-RPC method, as a caller wrote it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Method {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
            /// Another one: an extension's, or none at all.
            Other(Label),
        }

        impl Method {
            /// Those of the released protocol versions.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            /// The method with this name.
            #[must_use]
            pub fn of(name: &str, keys: &TokenKeys) -> Self {
                Self::known(name).unwrap_or_else(|| Self::Other(Label::of(name, keys)))
            }

            /// The method that a store holds.
            #[must_use]
            pub fn of_stored(name: &str) -> Self {
                Self::known(name).unwrap_or_else(|| Self::Other(Label::of_stored(name)))
            }

            fn known(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Its name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name.as_str(),
                }
            }
        }
    };
}

methods! {
    Initialize = "initialize",
    Discover = "server/discover",
    Ping = "ping",
    ToolsList = "tools/list",
    ToolsCall = "tools/call",
    PromptsList = "prompts/list",
    PromptsGet = "prompts/get",
    ResourcesList = "resources/list",
    ResourceTemplatesList = "resources/templates/list",
    ResourcesRead = "resources/read",
    ResourcesSubscribe = "resources/subscribe",
    ResourcesUnsubscribe = "resources/unsubscribe",
    SubscriptionsListen = "subscriptions/listen",
    Complete = "completion/complete",
    SetLevel = "logging/setLevel",
    TasksList = "tasks/list",
    TasksGet = "tasks/get",
    TasksUpdate = "tasks/update",
    TasksResult = "tasks/result",
    TasksCancel = "tasks/cancel",
    Initialized = "notifications/initialized",
    Cancelled = "notifications/cancelled",
    Progress = "notifications/progress",
    RootsListChanged = "notifications/roots/list_changed",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::RootSecret;

    #[test]
    fn every_method_is_found_by_its_name_and_another_is_kept_as_it_is_written() {
        let keys = TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"));
        for method in Method::KNOWN {
            assert_eq!(&Method::of(method.as_str(), &keys), method);
            assert_eq!(&Method::of_stored(method.as_str()), method);
            assert!(!matches!(method, Method::Other(_)));
        }
        for other in ["Tools/Call", "x/y", ""] {
            assert_eq!(Method::of(other, &keys), Method::Other(Label::of_stored(other)));
            assert_eq!(Method::of(other, &keys).as_str(), other);
        }
    }
}
