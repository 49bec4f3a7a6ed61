//! HTTP/1.1: bodies that stream.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    server::{raw, read_head, write},
    support::{Body, ask, body, get, http1, local, pool, send, text},
};

/// Bytes that are not all the same.
fn content(length: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(length).collect()
}

/// A body whose pieces come when they are sent here.
fn streamed() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (pieces, mut received) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |cx| {
        received.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    (pieces, StreamBody::new(stream).boxed_unsync())
}

fn upload(body: Body) -> Request<Body> {
    Request::post("/").header("host", "a").body(body).unwrap()
}

/// Reads one chunk of a request.
async fn read_chunk(stream: &mut TcpStream) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.unwrap());
    }
    let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk).await.unwrap();
    chunk.truncate(size);
    chunk
}

#[tokio::test]
async fn large_uploads_arrive_whole_at_a_slow_reader() {
    local(async {
        let expected = content(3 * 1024 * 1024);
        let compared = expected.clone();
        let address = raw(move |_, mut stream| {
            let compared = compared.clone();
            async move {
                loop {
                    let head = read_head(&mut stream).await;
                    let mut got = Vec::new();
                    if head.contains("transfer-encoding: chunked") {
                        while let chunk @ [_, ..] = read_chunk(&mut stream).await.as_slice() {
                            got.extend_from_slice(chunk);
                        }
                    } else {
                        assert!(head.contains(&format!("content-length: {}", compared.len())), "{head}");
                        while got.len() < compared.len() {
                            let mut piece = vec![0; 10_000.min(compared.len() - got.len())];
                            let read = stream.read(&mut piece).await.unwrap();
                            got.extend_from_slice(&piece[..read]);
                            tokio::task::yield_now().await;
                        }
                    }
                    let same = if got == compared { "same" } else { "else" };
                    write(&mut stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{same}")).await;
                }
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        let whole = send(&pool, &cluster, upload(body(expected.clone()))).await.unwrap();
        assert_eq!(text(whole).await, "same");
        let (pieces, streamed) = streamed();
        for piece in expected.chunks(77_777) {
            pieces.send(Bytes::copy_from_slice(piece)).unwrap();
        }
        drop(pieces);
        assert_eq!(text(send(&pool, &cluster, upload(streamed)).await.unwrap()).await, "same");
        assert_eq!(seen.counts().connected, 1);
    })
    .await;
}

/// Answers with this, `close` after it.
async fn answering(head: &'static str, content: Vec<u8>, close: bool) -> SocketAddr {
    raw(move |_, mut stream| {
        let content = content.clone();
        async move {
            loop {
                read_head(&mut stream).await;
                write(&mut stream, head).await;
                stream.write_all(&content).await.unwrap();
                if close {
                    return;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn large_downloads_arrive_whole_however_they_end() {
    local(async {
        let expected = content(3 * 1024 * 1024);
        let mut chunked = Vec::new();
        for piece in expected.chunks(33_333) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        for (head, sent, close) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 3145728\r\n\r\n", expected.clone(), false),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunked, false),
            ("HTTP/1.1 200 OK\r\n\r\n", expected.clone(), true),
        ] {
            let (cluster, (pool, seen)) = (http1(&[answering(head, sent, close).await]), pool());
            for _ in 0..2 {
                let body = send(&pool, &cluster, get("/")).await.unwrap().response.into_body();
                let length = head.contains("content-length").then_some(expected.len() as u64);
                assert_eq!(body.size_hint().exact(), length);
                assert!(body.collect().await.unwrap().to_bytes() == expected, "{head}");
            }
            assert_eq!(seen.counts().connected, if close { 2 } else { 1 }, "{head}");
        }
    })
    .await;
}

#[tokio::test]
async fn both_directions_stream_at_once() {
    local(async {
        let address = raw(|_, mut stream| async move {
            loop {
                read_head(&mut stream).await;
                write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                loop {
                    let chunk = read_chunk(&mut stream).await;
                    write(&mut stream, &format!("{:x}\r\n", chunk.len())).await;
                    stream.write_all(&chunk).await.unwrap();
                    write(&mut stream, "\r\n").await;
                    if chunk.is_empty() {
                        break;
                    }
                }
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        for _ in 0..2 {
            let (pieces, body) = streamed();
            let mut echo = send(&pool, &cluster, upload(body)).await.unwrap().response.into_body();
            for piece in ["a", "bc", "def"] {
                pieces.send(Bytes::from(piece)).unwrap();
                let frame = echo.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), piece);
            }
            drop(pieces);
            assert!(echo.frame().await.is_none());
        }
        assert_eq!(seen.counts().connected, 1, "both ended in order, so it was used again");
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    local(async {
        let address = raw(|number, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 413 Content Too Large\r\ncontent-length: 1\r\n\r\n").await;
            write(&mut stream, &number.to_string()).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        let (pieces, body) = streamed();
        pieces.send(Bytes::from("begin")).unwrap();
        let response = send(&pool, &cluster, upload(body)).await.unwrap();
        assert_eq!(response.response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(text(response).await, "1");
        seen.until(|counts| counts.closed == 1).await;
        pieces.closed().await;
        assert_eq!(ask(&pool, &cluster, "/").await, "2");
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_read_although_the_server_takes_no_more() {
    local(async {
        let address = raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
            let mut piece = vec![0; 64 * 1024];
            // Reads on for a while, as servers should (RFC 9112 section 9.6).
            while let Ok(Ok(1..)) =
                tokio::time::timeout(Duration::from_millis(50), stream.read(&mut piece)).await
            {}
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        let response = send(&pool, &cluster, upload(body(content(1024 * 1024)))).await.unwrap();
        assert_eq!(response.response.status(), StatusCode::FORBIDDEN);
        assert_eq!(text(response).await, "no");
    })
    .await;
}

#[tokio::test]
async fn interim_responses_are_passed_over_but_not_without_end() {
    local(async {
        let address = raw(|number, mut stream| async move {
            read_head(&mut stream).await;
            let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
            let times = if number == 1 { 2 } else { 20 };
            write(&mut stream, &interim.repeat(times)).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ = stream.read_u8().await;
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        let first = send(&pool, &cluster, get("/")).await.unwrap();
        let second = send(&pool, &cluster, get("/")).await.unwrap_err();
        assert!(matches!(second.failure(), postern_upstream::Failure::Protocol(_)), "{second:?}");
        assert_eq!(text(first).await, "ok");
    })
    .await;
}

#[tokio::test]
async fn a_head_in_the_smallest_pieces_is_a_head() {
    local(async {
        let address = raw(|_, mut stream| async move {
            loop {
                read_head(&mut stream).await;
                let response =
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n";
                for byte in response.bytes() {
                    stream.write_u8(byte).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        for _ in 0..3 {
            let body = send(&pool, &cluster, get("/")).await.unwrap().response.into_body();
            let collected = body.collect().await.unwrap();
            assert_eq!(collected.trailers().unwrap()["t"], "1");
            assert_eq!(collected.to_bytes(), "abc");
        }
        assert_eq!(seen.counts().connected, 1);
    })
    .await;
}
