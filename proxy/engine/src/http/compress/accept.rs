//! `accept-encoding` (RFC 9110 section 12.5.3), as Envoy's compressor reads it.

/// The content codings that there are.
#[derive(Debug)]
pub(super) struct Choice {
    /// In the order of the chain, each once.
    pub(super) offered: Vec<&'static str>,
    /// Goes before the others where the client has no preference.
    pub(super) first: Option<&'static str>,
}

impl Choice {
    /// The coding for a client that accepts this: the highest quality value, then the first that the client names.
    /// `None`: none.
    pub(super) fn among(mut self, accepted: &str) -> Option<&'static str> {
        let wishes: Vec<Wish<'_>> = accepted.split(',').filter_map(Wish::parse).collect();
        for wish in wishes.iter().filter(|wish| wish.quality <= 0.0) {
            self.offered.retain(|coding| !wish.coding.eq_ignore_ascii_case(coding));
        }
        let mut best: Option<(Wanted, f32)> = None;
        for wish in &wishes {
            let Some(wanted) = self.wanted(wish.coding).filter(|_| wish.quality > 0.0) else { continue };
            let is_better = match best {
                None => true,
                Some((_, quality)) if wish.quality == quality => {
                    matches!(wanted, Wanted::Coding(coding) if Some(coding) == self.first)
                }
                Some((_, quality)) => wish.quality > quality,
            };
            if is_better {
                best = Some((wanted, wish.quality));
            }
        }
        match best?.0 {
            Wanted::Identity => None,
            Wanted::Coding(coding) => Some(coding),
            Wanted::Any => {
                self.first.filter(|first| self.offered.contains(first)).or(self.offered.first().copied())
            }
        }
    }

    fn wanted(&self, coding: &str) -> Option<Wanted> {
        match coding {
            "*" => Some(Wanted::Any),
            _ if coding.eq_ignore_ascii_case("identity") => Some(Wanted::Identity),
            _ => {
                let mut offered = self.offered.iter();
                offered.find(|offered| offered.eq_ignore_ascii_case(coding)).copied().map(Wanted::Coding)
            }
        }
    }
}

/// What a client names and can get.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Coding(&'static str),
    Identity,
    Any,
}

/// One element of the list.
#[derive(Debug, PartialEq)]
struct Wish<'a> {
    coding: &'a str,
    /// 0 to 1.
    quality: f32,
}

impl<'a> Wish<'a> {
    /// `None` for one that is empty, or has a quality that is none (Envoy).
    fn parse(element: &'a str) -> Option<Self> {
        let (coding, weight) = match element.split_once(';') {
            Some((coding, parameters)) => (coding, parameters.split(';').next()),
            None => (element, None),
        };
        let coding = coding.trim();
        if coding.is_empty() {
            return None;
        }
        let weight = weight.and_then(|weight| weight.split_once('='));
        let quality = match weight {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                value.trim().parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?
            }
            _ => 1.0,
        };
        Some(Self { coding, quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(offered: &[&'static str], accepted: &str) -> Option<&'static str> {
        Choice { offered: offered.to_vec(), first: None }.among(accepted)
    }

    #[test]
    fn quality_then_the_clients_order() {
        let all = ["gzip", "br", "zstd"];
        for (accepted, expected) in [
            ("gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("br, gzip", Some("br")),
            ("gzip;q=0.5, br;q=0.9", Some("br")),
            ("gzip ; Q = 0.5 , br;q=0.4", Some("gzip")),
            ("deflate, zstd", Some("zstd")),
            ("*", Some("gzip")),
            ("gzip;q=0, *", Some("br")),
            ("*, gzip;q=0", Some("br")),
            ("*;q=0", None),
            ("identity, gzip", None),
            ("identity;q=0.5, gzip", Some("gzip")),
            ("gzip;q=nonsense, br", Some("br")),
            ("gzip;q=nonsense", None),
            ("gzip;q=2", None),
            ("gzip;q=NaN", None),
            ("gzip;q=0", None),
            ("gzip;level=9", Some("gzip")),
            ("deflate", None),
            (" , ,", None),
            ("", None),
        ] {
            assert_eq!(chosen(&all, accepted), expected, "{accepted:?}");
        }
        assert_eq!(chosen(&[], "*"), None);
    }

    #[test]
    fn one_may_go_before_the_others() {
        let choose = |accepted| Choice { offered: vec!["gzip", "br"], first: Some("br") }.among(accepted);
        assert_eq!(choose("gzip, br"), Some("br"));
        assert_eq!(choose("gzip, br;q=0.9"), Some("gzip"));
        assert_eq!(choose("*"), Some("br"));
        assert_eq!(choose("*, br;q=0"), Some("gzip"));
    }
}
