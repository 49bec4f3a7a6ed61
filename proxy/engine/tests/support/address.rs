//! Loopback addresses, so that proxies with the same ports run side by side.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU8, Ordering},
};

/// An address that is nobody else's, in this process or another, as long as it is held.
pub struct Address {
    pub ip: IpAddr,
    _claim: TcpListener,
}

impl Address {
    pub fn claim() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let block = u8::try_from(std::process::id() % 250).unwrap() + 1;
        for _ in 0..250 {
            let ip = Ipv4Addr::new(127, 66, block, NEXT.fetch_add(1, Ordering::Relaxed).clamp(1, 250));
            if let Ok(claim) = TcpListener::bind((ip, 1)) {
                return Self { ip: ip.into(), _claim: claim };
            }
        }
        panic!("no free loopback address");
    }

    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }
}
