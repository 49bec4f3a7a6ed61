//! Listeners that cannot be told apart.
//!
//! In one object none of them wins (Gateway API: "the implementation MUST NOT pick one conflicting Listener as the
//! winner"). Between objects the order decides: the Gateway's own listeners, then ListenerSets by age, then by name; a
//! listener that is in conflict itself takes nothing from others.

use postern_api::meta::ObjectKey;

use super::denial::Denial;
use super::gateways::ListenerList;
use super::listener::{Listener, Protocol};
use crate::finding::Reason;

/// Finds the conflicts of all listeners of a Gateway.
pub(super) fn find(lists: &mut [ListenerList<'_>]) {
    for index in 0..lists.len() {
        let (before, rest) = lists.split_at_mut(index);
        let Some(list) = rest.first_mut() else { continue };
        if list.accepted.is_err() {
            continue;
        }
        for listener in &mut list.listeners {
            let winners = before.iter().filter(|list| list.accepted.is_ok());
            let mut winners = winners.flat_map(|list| list.listeners.iter().map(move |it| (&list.key, it)));
            let lost = winners.find_map(|(owner, other)| conflict(listener, owner, other));
            listener.conflict = lost.map_or(Ok(()), Err);
        }
        // What has lost already takes nothing from its siblings.
        let verdicts: Vec<_> = (0..list.listeners.len()).map(|place| with_siblings(list, place)).collect();
        for (listener, verdict) in list.listeners.iter_mut().zip(verdicts) {
            if let Some(denial) = verdict {
                listener.conflict = Err(denial);
            }
        }
    }
}

/// The conflict of a listener with others of its object.
fn with_siblings(list: &ListenerList<'_>, place: usize) -> Option<Denial> {
    let listener = list.listeners.get(place).filter(|listener| listener.is_accepted())?;
    let siblings = list.listeners.iter().enumerate().filter(|(other, _)| *other != place);
    siblings.map(|(_, sibling)| sibling).find_map(|sibling| conflict(listener, &list.key, sibling))
}

/// Why a listener cannot be told from another one, which is accepted.
fn conflict(listener: &Listener<'_>, owner: &ObjectKey, other: &Listener<'_>) -> Option<Denial> {
    let (protocol, taken) = (listener.protocol?, other.protocol?);
    // What is not served takes no port.
    if listener.spec.port != other.spec.port || listener.valid.is_err() || !other.is_accepted() {
        return None;
    }
    // UDP has ports of its own.
    if protocol.transport() != taken.transport() {
        return None;
    }
    let port = listener.spec.port;
    let whose = format!("listener {:?} of {owner}", other.spec.name);
    if !share_port(protocol, taken) {
        let message =
            format!("{whose} has port {port} with protocol {}, which cannot be shared", other.spec.protocol);
        return Some(Denial::new(Reason::ProtocolConflict, message));
    }
    if !protocol.has_hosts() {
        let message = format!("{whose} has port {port} with the same protocol");
        return Some(Denial::new(Reason::ProtocolConflict, message));
    }
    (listener.host == other.host).then(|| {
        let message = format!("{whose} has the same hostname on port {port}");
        Denial::new(Reason::HostnameConflict, message)
    })
}

/// HTTPS and TLS are told apart by server name.
fn share_port(a: Protocol, b: Protocol) -> bool {
    a == b || (a.is_tls() && b.is_tls())
}
