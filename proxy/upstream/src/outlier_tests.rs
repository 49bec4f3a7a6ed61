use std::net::SocketAddr;

use super::*;
use crate::{Endpoint, Transport};

fn settings() -> OutlierDetection {
    OutlierDetection { max_ejection_percent: 50, ..OutlierDetection::default() }
}

fn monitors(count: u16) -> (Vec<EndpointId>, Monitors) {
    let transport = Transport::plaintext_for_tests();
    let id = |port| Endpoint::new(SocketAddr::from(([127, 0, 0, 1], port)), Arc::clone(&transport)).id();
    let ids: Vec<_> = (1..=count).map(id).collect();
    let monitors = Monitors::new(ids.iter().copied(), &Monitors::default());
    (ids, monitors)
}

/// How many of these outcomes in a row eject an endpoint; 0: never.
fn needed(outcomes: &[Outcome], settings: &OutlierDetection) -> usize {
    let (ids, monitors) = monitors(2);
    for count in 1..=20 {
        let outcome = outcomes[(count - 1) % outcomes.len()];
        monitors.report(ids[0], outcome, settings);
        if monitors.is_ejected(0) {
            assert!(!monitors.is_ejected(1));
            return count;
        }
    }
    0
}

#[test]
fn what_counts_is_set() {
    use Outcome::{Connected, Failed, Status, TimedOut};
    let gateway = OutlierDetection { consecutive_5xx: 0, consecutive_gateway_failure: 3, ..settings() };
    let split = OutlierDetection { consecutive_local_origin_failure: Some(2), ..settings() };
    let codes = OutlierDetection { error_codes: vec![429], ..settings() };
    for (outcomes, settings, expected) in [
        (&[Status(500)][..], &settings(), 5),
        (&[Status(500), Failed, TimedOut], &settings(), 5),
        (&[Status(500), Status(404)], &settings(), 0),
        (&[Failed, Connected], &settings(), 0),
        (&[Status(503)], &gateway, 3),
        (&[Status(500)], &gateway, 0),
        (&[Status(503), Status(503), Status(500)], &gateway, 0),
        (&[Failed], &split, 2),
        (&[TimedOut], &split, 2),
        (&[Failed, Status(500)], &split, 10),
        (&[Status(429)], &codes, 5),
        (&[Status(500)], &codes, 0),
        (&[Status(500)], &OutlierDetection { consecutive_5xx: 0, ..settings() }, 0),
    ] {
        assert_eq!(needed(outcomes, settings), expected, "{outcomes:?} {settings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_gets_longer_and_is_forgiven() {
    let settings = OutlierDetection { consecutive_5xx: 1, ..settings() };
    let (ids, monitors) = monitors(2);
    let fail = || monitors.report(ids[0], Outcome::Failed, &settings);
    for seconds in [30, 60, 90] {
        fail();
        tokio::time::advance(Duration::from_millis(seconds * 1000 - 10)).await;
        assert!(monitors.is_ejected(0), "still within {seconds} s");
        tokio::time::advance(Duration::from_millis(20)).await;
        assert!(!monitors.is_ejected(0), "{seconds} s are over");
    }
    // Two intervals in use.
    tokio::time::advance(Duration::from_secs(20)).await;
    fail();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(monitors.is_ejected(0));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!monitors.is_ejected(0));
}

#[test]
fn not_too_many_are_ejected() {
    let settings = OutlierDetection { consecutive_5xx: 1, ..settings() };
    let (ids, monitors) = monitors(4);
    ids.iter().for_each(|id| monitors.report(*id, Outcome::Failed, &settings));
    let ejected: Vec<_> = (0..4).map(|index| monitors.is_ejected(index)).collect();
    assert_eq!(ejected, [true, true, false, false]);
    assert!(!monitors.is_panic(0) && !monitors.is_panic(50) && monitors.is_panic(51));
    // Another set of endpoints knows those that stay.
    let after = Monitors::new([ids[1], ids[2]].into_iter(), &monitors);
    assert_eq!((after.is_ejected(0), after.is_ejected(1)), (true, false));
}
