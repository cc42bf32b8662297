//! The client of servers, as the client of OAuth needs it.

use std::error::Error;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::ask::{ANSWER_MAX, Ask, HttpFault, OAuthHttp, PATIENCE, Reads, Reply};
use crate::upstream::{SharedUpstream, Target};

#[async_trait]
impl OAuthHttp for SharedUpstream {
    async fn send(&self, ask: Ask) -> Result<Reply, HttpFault> {
        timeout(PATIENCE, exchange(self, ask)).await.map_err(|_| HttpFault::TooSlow)?
    }
}

async fn exchange(upstream: &SharedUpstream, ask: Ask) -> Result<Reply, HttpFault> {
    let target = Target::of(ask.url.as_url()).map_err(unreachable)?;
    let answer = SharedUpstream::send(upstream, &target, ask.method, ask.headers, ask.body, PATIENCE)
        .await
        .map_err(unreachable)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = match ask.reads {
        Reads::Head => Bytes::new(),
        Reads::Whole => whole(answer.into_body()).await?,
    };
    Ok(Reply { status, headers, body })
}

fn unreachable(fault: impl Error + Send + Sync + 'static) -> HttpFault {
    HttpFault::Unreachable(Box::new(fault))
}

async fn whole<E>(mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin) -> Result<Bytes, HttpFault>
where
    E: Error + Send + Sync + 'static,
{
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(unreachable)?;
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(HttpFault::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_up_to_the_limit_and_not_beyond() {
        let pieces = |count| stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1024]))));
        assert_eq!(whole(pieces(64)).await.expect("64 KiB").len(), ANSWER_MAX);
        assert!(matches!(whole(pieces(65)).await, Err(HttpFault::TooLong)));
    }
}
