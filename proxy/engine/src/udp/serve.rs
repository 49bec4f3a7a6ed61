//! The life of one worker's socket of a UDP listener.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use tokio::net::UdpSocket;

use super::{session::AT_A_TIME, sessions::Sessions, slot::UdpSlot};
use crate::worker::Worker;

/// A pause when the system cannot give what it has received: it may be able to soon.
const PAUSE_ON_ERROR: Duration = Duration::from_millis(20);

/// While the proxy drains, sessions end that were silent for so long: answers that are on their way still arrive.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// Takes datagrams until the listener is removed, or the proxy has drained: then no session begins, and those that are
/// open go on until they are silent or the grace period is over.
pub(crate) async fn serve(socket: UdpSocket, slot: Arc<UdpSlot>, worker: Rc<Worker>) {
    let watch = slot.drain.watch();
    let sessions = Sessions::new(socket, slot, worker);
    let draining = async {
        watch.draining().await;
        sessions.drain(DRAIN_SILENCE).await;
    };
    let serving = async {
        loop {
            take(&sessions).await;
        }
    };
    watch
        .until_cut_off(async {
            tokio::select! {
                () = serving => {}
                () = draining => {}
            }
        })
        .await;
    sessions.close();
}

/// Passes on what has come, some at a time.
async fn take(sessions: &Rc<Sessions>) {
    let failed = match sessions.socket.readable().await {
        Ok(()) => take_some(sessions),
        Err(error) => Err(error),
    };
    match failed {
        Ok(()) => tokio::task::yield_now().await,
        Err(error) => {
            tracing::warn!(listener = %sessions.slot.name, %error, "cannot receive");
            tokio::time::sleep(PAUSE_ON_ERROR).await;
        }
    }
}

fn take_some(sessions: &Rc<Sessions>) -> io::Result<()> {
    for _ in 0..AT_A_TIME {
        let mut buffer = sessions.buffer.borrow_mut();
        match sessions.socket.try_recv_from(&mut buffer) {
            Ok((length, client)) => sessions.pass_on(client, buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
