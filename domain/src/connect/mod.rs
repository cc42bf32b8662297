//! Connect links: how somebody who has no key and no account here gives a tenant's credential for a server. The link says
//! who made it, for whom and for which server; opening it decides all of that again, as if its maker asked now. It works
//! for some minutes and for one credential.

pub mod browser;
pub mod link;
pub mod port;

pub use browser::{Browser, Browsers};
pub use link::{ConnectLink, LINK_LASTS, LinkMaker, LinkUse};
