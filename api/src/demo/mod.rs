//! `keyrack demo`: everything embedded on loopback, a sample MCP server with notes per tenant, one organization, and one
//! key of each type. `--check` plays the printed commands with a real MCP client.
//!
//! It is set up through the public interface alone, the way a user would: nothing here reaches into the product.

mod check;
mod client;
pub mod identity;
pub mod notes;
mod print;
mod setup;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use clap::ArgMatches;
use url::Url;

use crate::command::{chain, serve::stop_signal};
use crate::logging;
use crate::server::{Running, start};
use crate::settings::{LogFormat, Settings};

/// Runs the demo until a signal comes, or plays it once.
///
/// # Errors
/// What kept it from running, or what the check saw that must not be.
pub async fn run(flags: &ArgMatches) -> Result<(), String> {
    let check = flags.get_flag("check");
    let listen = listen(flags, check)?;
    logging::begin("warn", LogFormat::Text)?;
    let data = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
    let running = start(settings(listen, data.path())?).await.map_err(|fault| chain(&fault))?;
    let notes = sample_of(&running.public_url).map_err(|error| format!("the sample server did not start: {error}"))?;
    let demo = setup::through_the_api(&running, &notes).await;
    let outcome = match demo {
        Ok(demo) if check => check::play(&demo).await,
        Ok(demo) => {
            print::commands(&demo);
            stop_signal().await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    stop(running, notes).await;
    outcome
}

/// The sample server, on a free loopback port.
fn sample_of(keyrack: &Url) -> std::io::Result<notes::NotesServer> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let jwks = keyrack.join(identity::JWKS).map_err(std::io::Error::other)?;
    let verifier = identity::Verifier::new(keyrack, &url, jwks);
    notes::start(listener, url, verifier)
}

async fn stop(running: Running, notes: notes::NotesServer) {
    notes.stop().await;
    running.stop().await;
}

fn listen(flags: &ArgMatches, check: bool) -> Result<SocketAddr, String> {
    use clap::parser::ValueSource;
    // A check is for machines where the port may be taken; whoever names one gets it.
    let chosen = flags.value_source("listen") == Some(ValueSource::CommandLine);
    let text = flags.get_one::<String>("listen").filter(|_| chosen || !check).map_or("127.0.0.1:0", String::as_str);
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("--listen: the demo stays on loopback; use `keyrack serve` for more".to_owned()),
        Err(_) => Err("--listen: must be ADDRESS:PORT, for example 127.0.0.1:8080".to_owned()),
    }
}

fn settings(listen: SocketAddr, data: &std::path::Path) -> Result<Settings, String> {
    Settings::read(|row| match row.flag {
        "listen" => Some(listen.to_string()),
        "data-dir" => Some(data.display().to_string()),
        "egress-allow" => Some("127.0.0.0/8,::1/128".to_owned()),
        "workers" | "shutdown-timeout" => Some("2".to_owned()),
        _ => None,
    })
    .map_err(|faults| format!("{faults:?}"))
}
