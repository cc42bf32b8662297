//! Waiting for what is nearly always there already, with a limit, and without the price of a timer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// What `work` ends with, or none when it takes longer than `patience`.
///
/// actix asks a handler before it has taken the body out of what it read, so that the first look finds nothing and the
/// second, in the same turn, all of it. A timer is set only when the second look found nothing either.
pub(super) async fn within<F: Future>(patience: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut looked = false;
    let soon = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if looked => Poll::Ready(None),
        Poll::Pending => {
            looked = true;
            // Nobody else may ever wake us.
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match soon.await {
        Some(done) => Some(done),
        None => tokio::time::timeout(patience, work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    /// Ready at the look of this number, counted from 1; wakes whoever looks.
    async fn at_look(number: usize) -> usize {
        let mut looks = 0;
        poll_fn(|context| {
            looks += 1;
            context.waker().wake_by_ref();
            if looks == number { Poll::Ready(looks) } else { Poll::Pending }
        })
        .await
    }

    #[tokio::test]
    async fn what_is_there_early_or_late_is_kept() {
        for look in 1..6 {
            assert_eq!(within(LONG, at_look(look)).await, Some(look));
        }
    }

    #[tokio::test]
    async fn what_never_comes_and_wakes_nobody_is_given_up() {
        let waited = within(Duration::from_millis(5), std::future::pending::<()>());
        let waited = tokio::time::timeout(Duration::from_secs(5), waited).await;
        assert_eq!(waited, Ok(None));
    }
}
