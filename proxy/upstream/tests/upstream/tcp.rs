//! Byte streams for TCP.

use postern_upstream::{ConnectError, Failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    server::raw,
    support::{http1, local, pool, refusing},
};

#[tokio::test]
async fn a_stream_comes_from_the_next_endpoint_that_takes_it_and_counts() {
    local(async {
        let echo = raw(|_, mut stream| async move {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[refusing(), refusing(), echo]), pool());
        let (mut stream, guard) = pool.connect_stream(&cluster, None).await.unwrap();
        assert_eq!(guard.endpoint().address(), echo);
        assert_eq!(guard.endpoint().active(), 1);
        stream.write_all(b"abc").await.unwrap();
        let mut got = [0; 3];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"abc");
        assert!(seen.counts().failed <= 2);
        let endpoint = guard.endpoint().clone();
        drop(guard);
        assert_eq!(endpoint.active(), 0);
    })
    .await;
}

#[tokio::test]
async fn when_none_takes_it_that_is_told() {
    local(async {
        let (cluster, (pool, _)) = (http1(&[refusing(), refusing()]), pool());
        let error = pool.connect_stream(&cluster, None).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::Connect(ConnectError::Io(_))), "{error}");
        let error = pool.connect_stream(&http1(&[]), None).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::NoEndpoints), "{error}");
    })
    .await;
}
