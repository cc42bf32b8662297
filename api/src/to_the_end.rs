//! Work that must not stop in the middle. actix drops a handler when its client leaves; a change that was committed must
//! still be recorded, and its caches emptied.

use std::future::Future;

use crate::code::Code;
use crate::problem::Problem;

/// Runs `work` to its end, also when nobody waits for it any more.
///
/// # Errors
/// What `work` ends with; 500 when it panics.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "work that must end did not");
        Err(Problem::new(Code::Internal))
    })
}
