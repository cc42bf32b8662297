//! A server that keys are for is down, slow or lying.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use support::{App, AppOptions, Liar, Lie, Store, Wire, Workbench};

use super::Driver;
use super::drive::{Fault, drive};
use super::site::Site;
use super::table::Op;

pub const FAULTS: [Driver; 3] = [
    ("upstream down", || down().boxed_local()),
    ("upstream slow", || slow().boxed_local()),
    ("upstream lying", || lying().boxed_local()),
];

const LATER: Duration = Duration::from_secs(4);

/// Lists of tools are asked for again after a second, so that memory answers for no longer than it must.
async fn app() -> App {
    let settings = vec![("signup", "open".to_owned()), ("tool-list-ttl", "1".to_owned())];
    App::with(AppOptions { store: Store::Sqlite, settings }).await
}

fn at(bench: &Workbench) -> std::net::SocketAddr {
    let url = url::Url::parse(&bench.url).expect("an address");
    url.socket_addrs(|| None).expect("an IP address")[0]
}

async fn down() {
    let (app, bench) = (app().await, Workbench::start());
    let wire = Wire::to(at(&bench)).await;
    let site = Arc::new(Site::at(&app.base, &format!("http://{}/mcp", wire.address)).await);
    let fault = Fault {
        name: "upstream down",
        begin: async || wire.leads_nowhere(),
        later: LATER,
        meanwhile: async || {},
        end: async || wire.mend(),
    };
    drive(&site, fault).await;
}

async fn slow() {
    let (app, bench) = (app().await, Workbench::start());
    let site = Arc::new(Site::at(&app.base, &bench.url).await);
    let fault = Fault {
        name: "upstream slow",
        begin: async || bench.delay(Duration::from_secs(10)),
        later: LATER,
        meanwhile: async || {},
        end: async || bench.delay(Duration::ZERO),
    };
    drive(&site, fault).await;
}

/// Every lie is told to every operation; the table's answers are those to a page for people.
async fn lying() {
    let (app, bench) = (app().await, Workbench::start());
    let liar = Liar::before(at(&bench)).await;
    let site = Arc::new(Site::at(&app.base, &format!("http://{}/mcp", liar.address)).await);
    let fault = Fault {
        name: "upstream lying",
        begin: async || liar.tell(Some(Lie::Page)),
        later: LATER,
        meanwhile: async || {
            for lie in Lie::ALL {
                liar.tell(Some(lie));
                lied(&site, lie).await;
            }
        },
        end: async || liar.tell(None),
    };
    drive(&site, fault).await;
}

/// What a lie comes to: through the gateway what was said arrives as it was said, or broken where it broke; nothing else
/// suffers from it.
async fn lied(site: &Arc<Site>, lie: Lie) {
    let (call, list, run, verify) =
        tokio::join!(site.ask(Op::Call), site.ask(Op::List), site.ask(Op::Run), site.ask(Op::Verify));
    match (lie, lie.body()) {
        (_, Some(said)) => {
            assert_eq!((call.status, call.whole, call.body.as_str()), (Some(200), true, said), "{lie:?}");
        }
        (Lie::NoHttp, None) => assert_eq!((call.status, call.code.as_str()), (Some(502), "upstream_error"), "{call:?}"),
        (_, None) => assert!(!call.whole, "{lie:?}: a part passed for the whole: {:?}", call.status),
    }
    for (op, seen) in [(Op::List, &list), (Op::Run, &run), (Op::Verify, &verify)] {
        assert_eq!(seen.status, Some(op.fine()), "{lie:?}, {op:?}: {seen:?}");
    }
}
