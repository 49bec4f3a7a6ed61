//! Which ingress listens where.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postern_translate::IngressName;

/// The ingress that gets the first address.
const DEFAULT_INGRESS: &str = "istio-ingressgateway";

/// Gives each ingress an address of its own, which it keeps as long as it is there.
#[derive(Debug)]
pub(super) struct Addresses {
    first: IpAddr,
    given: BTreeMap<IngressName, u32>,
}

impl Addresses {
    pub(super) const fn new(first: IpAddr) -> Self {
        Self { first, given: BTreeMap::new() }
    }

    /// The addresses of these ingresses. Others lose theirs. `None`: there are no more.
    pub(super) fn assign<'a>(
        &mut self,
        ingresses: impl IntoIterator<Item = &'a IngressName>,
    ) -> BTreeMap<IngressName, Option<IpAddr>> {
        let mut wanted: Vec<_> = ingresses.into_iter().collect();
        wanted.sort_by_key(|ingress| (ingress.name != DEFAULT_INGRESS, (*ingress).clone()));
        self.given.retain(|ingress, _| wanted.contains(&ingress));
        for ingress in &wanted {
            if !self.given.contains_key(*ingress) {
                let free = (0..).find(|index| !self.given.values().any(|given| given == index));
                self.given.insert((*ingress).clone(), free.unwrap_or_default());
            }
        }
        self.given.iter().map(|(ingress, index)| (ingress.clone(), self.address(*index))).collect()
    }

    fn address(&self, index: u32) -> Option<IpAddr> {
        Some(match self.first {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).checked_add(index)?).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).checked_add(index.into())?).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(addresses: &mut Addresses, names: &[&str]) -> Vec<String> {
        let ingresses: Vec<_> = names
            .iter()
            .map(|name| IngressName { namespace: "istio-system".to_owned(), name: (*name).to_owned() })
            .collect();
        let assigned = addresses.assign(&ingresses);
        assigned.iter().map(|(ingress, address)| format!("{} {}", ingress.name, address.unwrap())).collect()
    }

    #[test]
    fn the_default_ingress_is_first_and_all_keep_their_addresses() {
        let mut addresses = Addresses::new("127.0.0.1".parse().unwrap());
        assert_eq!(
            assigned(&mut addresses, &["canary", "istio-ingressgateway", "edge"]),
            ["canary 127.0.0.2", "edge 127.0.0.3", "istio-ingressgateway 127.0.0.1"]
        );
        assert_eq!(
            assigned(&mut addresses, &["edge", "istio-ingressgateway"]),
            ["edge 127.0.0.3", "istio-ingressgateway 127.0.0.1"]
        );
        assert_eq!(
            assigned(&mut addresses, &["a", "edge", "istio-ingressgateway"]),
            ["a 127.0.0.2", "edge 127.0.0.3", "istio-ingressgateway 127.0.0.1"]
        );
    }

    #[test]
    fn the_last_address_has_no_next() {
        let mut addresses = Addresses::new("255.255.255.255".parse().unwrap());
        let ingress = |name: &str| IngressName { namespace: String::new(), name: name.to_owned() };
        let assigned = addresses.assign(&[ingress("a"), ingress("b")]);
        assert_eq!(assigned.values().flatten().count(), 1);
    }
}
