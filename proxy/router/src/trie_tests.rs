use proptest::prelude::*;

use super::*;

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let kind = prop_oneof![Just(KeyKind::Prefix), Just(KeyKind::Exact)];
    let texts = prop::collection::vec(("[/aAbé]{0,5}", kind), 0..30);
    texts.prop_map(|texts| {
        let numbered = (0..).zip(texts);
        numbered.map(|(value, (text, kind))| Key { text: text.into_bytes().into(), kind, value }).collect()
    })
}

fn found(trie: &Trie, path: &str) -> Vec<u32> {
    let mut found = Vec::new();
    trie.walk(path.as_bytes(), |list| {
        assert!(!list.is_empty() && list.is_sorted());
        found.extend(list);
    });
    found.sort_unstable();
    found
}

fn scan(keys: &[Key], path: &str, ignore_case: bool) -> Vec<u32> {
    let fold = |bytes: &[u8]| if ignore_case { bytes.to_ascii_lowercase() } else { bytes.to_vec() };
    let path = fold(path.as_bytes());
    let fits = |key: &&Key| match key.kind {
        KeyKind::Exact => path == fold(&key.text),
        KeyKind::Prefix => path.starts_with(&fold(&key.text)),
    };
    keys.iter().filter(fits).map(|key| key.value).collect()
}

proptest! {
    #[test]
    fn finds_what_a_scan_finds(keys in keys(), path in "[/aAbé]{0,7}", ignore_case: bool) {
        let trie = Trie::new(keys.clone(), ignore_case);
        prop_assert_eq!(found(&trie, &path), scan(&keys, &path, ignore_case));
    }
}

#[test]
fn an_empty_tree_finds_nothing() {
    assert_eq!(found(&Trie::new(Vec::new(), false), "/"), Vec::<u32>::new());
}

#[test]
fn many_keys_with_one_beginning() {
    let keys: Vec<Key> = (0..1000)
        .map(|value| Key { text: format!("/app/{value}/").into_bytes().into(), kind: KeyKind::Prefix, value })
        .collect();
    let trie = Trie::new(keys, false);
    assert_eq!(found(&trie, "/app/999/x"), [999]);
    assert_eq!(found(&trie, "/app/99/x"), [99]);
    assert_eq!(found(&trie, "/app/1000/x"), Vec::<u32>::new());
}
