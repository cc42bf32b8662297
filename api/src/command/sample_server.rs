//! `keyrack sample-server`: the demo's MCP server by itself, for trying an installation of several machines.

use std::net::TcpListener;

use clap::ArgMatches;
use url::Url;

use super::serve::stop_signal;
use crate::demo::{identity, notes};

/// Runs it until a signal comes.
///
/// # Errors
/// Why it cannot be started.
pub async fn run(flags: &ArgMatches) -> Result<(), String> {
    let text = |flag: &str| flags.get_one::<String>(flag).cloned();
    let read = |flag: &str, text: String| text.parse::<Url>().map_err(|error| format!("--{flag} {text}: {error}"));
    let (listen, url) = (text("listen").unwrap_or_default(), text("url").unwrap_or_default());
    let keyrack = read("keyrack", text("keyrack").unwrap_or_default())?;
    let jwks = match text("jwks") {
        Some(jwks) => read("jwks", jwks)?,
        None => keyrack.join(identity::JWKS).map_err(|error| format!("--keyrack {keyrack}: {error}"))?,
    };
    let verifier = identity::Verifier::new(&keyrack, &url, jwks);
    let started = TcpListener::bind(&listen).and_then(|listener| notes::start(listener, url, verifier));
    let server = started.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    println!("the sample server listens on {listen} and is {}; it trusts {keyrack}", server.url);
    stop_signal().await;
    server.stop().await;
    Ok(())
}
