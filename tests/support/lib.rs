//! Support for the tests: real servers on real sockets, actors that say who they are, and upstreams that say what they
//! saw. Everything stays on loopback.

#![expect(clippy::disallowed_methods, reason = "tests look at the database from outside, and break it")]
#![expect(clippy::missing_panics_doc, reason = "a test fails by panicking")]
#![expect(clippy::must_use_candidate, reason = "an expectation is often all that is wanted")]

pub mod actor;
pub mod app;
pub mod browser;
pub mod calls;
pub mod chromium;
pub mod client;
pub mod liar;
pub mod logs;
pub mod mail;
pub mod many_keys;
mod offer;
pub mod postgres;
pub mod redis;
pub mod sample;
pub mod serving;
pub mod tool_servers;
pub mod toolbox;
pub mod upstream;
pub mod wire;
pub mod workbench;

pub use actor::{Actor, Key, Organization, PASSWORD, Person};
pub use app::{App, AppOptions, Store};
pub use browser::{Browser, Page};
pub use chromium::Chromium;
pub use client::Answer;
pub use liar::{Liar, Lie};
pub use mail::MailSink;
pub use redis::Redis;
pub use sample::{BearerServer, Mood, OAuthServer, OAuthSettings};
pub use serving::Serving;
pub use toolbox::Toolbox;
pub use upstream::Upstream;
pub use wire::Wire;
pub use workbench::Workbench;
