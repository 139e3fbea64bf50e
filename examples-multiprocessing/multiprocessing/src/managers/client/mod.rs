//! The client's side: connections to a server, and proxies of its objects.

mod link;
mod proxy;
mod sent;

pub(super) use link::Link;
pub use proxy::Proxy;
