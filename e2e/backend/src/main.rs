//! A small backend for Postern's examples, tests and benchmarks: it answers what it was asked.
//!
//! HTTP/1.1 and HTTP/2 with prior knowledge on the same port; plain bytes with `--tcp`.

mod answer;

use std::{net::SocketAddr, rc::Rc, time::Duration};

use anyhow::Context;
use clap::Parser;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

use crate::answer::Answer;

/// Answers requests with what it got, as JSON.
///
/// Paths that do more, wherever they stand in the path: `/status/CODE` answers with that code, `/delay/MILLISECONDS`
/// waits first, `/bytes/N` answers with N bytes instead, `/close` breaks the connection.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What it calls itself in its answers.
    #[arg(long, env = "BACKEND_NAME", default_value = "app-service")]
    name: String,
    /// Where to listen for HTTP; may be given several times.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: Vec<SocketAddr>,
    /// Where to echo plain bytes; may be given several times.
    #[arg(long)]
    tcp: Vec<SocketAddr>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(run(args)))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let name: Rc<str> = args.name.into();
    for address in args.listen {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        println!("{name} listens on {}", listener.local_addr()?);
        tokio::task::spawn_local(accept(listener, {
            let name = Rc::clone(&name);
            move |stream| http(stream, Rc::clone(&name))
        }));
    }
    for address in args.tcp {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        println!("{name} echoes bytes on {}", listener.local_addr()?);
        tokio::task::spawn_local(accept(listener, echo));
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

async fn accept<F: Future<Output = ()> + 'static>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::task::spawn_local(serve(stream));
            }
            // No file descriptors left, for example: some may be free again soon.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn http(stream: TcpStream, name: Rc<str>) {
    let mut server = auto::Builder::new(LocalExecutor);
    server.http1().timer(TokioTimer::new()).http2().timer(TokioTimer::new());
    let answer = Answer::new(name);
    let service = service_fn(move |request| answer.clone().to(request));
    // The client went away, or `/close` was asked for: nothing to tell anybody.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
