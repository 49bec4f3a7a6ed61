#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write as _};

use super::*;

fn compressor(library: CompressorLibrary) -> model::Compressor {
    model::Compressor {
        library,
        min_content_length: None,
        content_types: vec![],
        disable_on_etag_header: false,
        remove_accept_encoding_header: false,
        choose_first: false,
    }
}

const GZIP: CompressorLibrary = CompressorLibrary::Gzip { level: None };
const BROTLI: CompressorLibrary = CompressorLibrary::Brotli { quality: None, window_bits: None };
const ZSTD: CompressorLibrary = CompressorLibrary::Zstd { level: None };

/// The head after compression, and whether there is any.
fn compressed(
    compressors: &[model::Compressor],
    fields: &[(&'static str, &'static str)],
    change: impl FnOnce(&mut Asked<'_>),
) -> (bool, HeaderMap) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let accepted = HeaderValue::from_static("gzip, br");
    let mut asked = Asked {
        accept_encoding: Some(&accepted),
        status: StatusCode::OK,
        length: Length::Bytes(30),
        has_body: true,
    };
    change(&mut asked);
    let encoder = Compression::compile(compressors).unwrap().begin(&mut headers, asked);
    assert_eq!(
        encoder.is_some(),
        headers.contains_key("content-encoding") && !has(fields, "content-encoding")
    );
    (encoder.is_some(), headers)
}

fn has(fields: &[(&str, &str)], name: &str) -> bool {
    fields.iter().any(|(found, _)| *found == name)
}

#[test]
fn the_head_says_what_was_done() {
    let fields = [
        ("content-length", "30"),
        ("content-type", "Text/HTML; charset=utf-8"),
        ("etag", "\"strong\""),
        ("accept-ranges", "bytes"),
        ("vary", "origin"),
    ];
    let (done, headers) = compressed(&[compressor(GZIP)], &fields, |_| {});
    assert!(done);
    assert_eq!(headers["content-encoding"], "gzip");
    assert!(["content-length", "etag", "accept-ranges"].iter().all(|name| !headers.contains_key(*name)));
    assert!(has_token(&headers, &header::VARY, "origin"));
    assert!(has_token(&headers, &header::VARY, "accept-encoding"));
    let (done, headers) = compressed(&[compressor(GZIP)], &[("etag", "W/\"weak\"")], |_| {});
    assert!(done && headers["etag"] == "W/\"weak\"");
}

#[test]
fn what_is_left_alone() {
    let leave = |fields: &[(&'static str, &'static str)]| {
        let (done, headers) = compressed(&[compressor(GZIP)], fields, |_| {});
        assert!(!done && !headers.contains_key("vary"), "{fields:?}");
    };
    leave(&[("content-encoding", "br")]);
    leave(&[("content-type", "image/png")]);
    leave(&[("cache-control", "private, No-Transform")]);
    let (done, _) = compressed(&[compressor(GZIP)], &[], |asked| asked.length = Length::Bytes(29));
    assert!(!done, "too short");
    let (done, _) = compressed(&[compressor(GZIP)], &[], |asked| asked.length = Length::Unknown);
    assert!(!done, "neither length nor chunks");
    let (done, _) = compressed(&[compressor(GZIP)], &[], |asked| asked.status = StatusCode::PARTIAL_CONTENT);
    assert!(!done, "a range");
    let on_etag = model::Compressor { disable_on_etag_header: true, ..compressor(GZIP) };
    assert!(!compressed(&[on_etag], &[("etag", "W/\"weak\"")], |_| {}).0);
}

#[test]
fn caches_are_told_where_only_this_client_gets_it_as_it_is() {
    for change in
        [|asked: &mut Asked<'_>| asked.accept_encoding = None, |asked: &mut Asked<'_>| asked.has_body = false]
    {
        let (done, headers) = compressed(&[compressor(GZIP)], &[("etag", "\"strong\"")], change);
        assert!(!done && headers.contains_key("etag"));
        assert_eq!(headers["vary"], "Accept-Encoding");
    }
    let (_, headers) = compressed(&[compressor(GZIP)], &[("vary", "accept-encoding")], |_| {});
    assert_eq!(headers.get_all("vary").iter().count(), 1);
}

#[test]
fn one_of_several_is_chosen() {
    let first = model::Compressor { choose_first: true, ..compressor(BROTLI) };
    let (_, headers) = compressed(&[compressor(GZIP), first], &[], |_| {});
    assert_eq!(headers["content-encoding"], "br");
    // One that is not for this type is not chosen.
    let json = model::Compressor { content_types: vec!["application/json".into()], ..compressor(GZIP) };
    let both = [json, compressor(BROTLI)];
    let (_, headers) = compressed(&both, &[("content-type", "text/html")], |_| {});
    assert_eq!(headers["content-encoding"], "br");
    let (_, headers) = compressed(&both, &[("content-type", "application/json")], |_| {});
    assert_eq!(headers["content-encoding"], "gzip");
    // Of two of the same coding the first that may.
    let long = model::Compressor { min_content_length: Some(1000), ..compressor(GZIP) };
    assert!(compressed(&[long.clone(), compressor(GZIP)], &[], |_| {}).0);
    assert!(!compressed(&[long], &[], |_| {}).0);
}

fn decoded(library: CompressorLibrary, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match library {
        CompressorLibrary::Gzip { .. } => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).map(drop),
        CompressorLibrary::Brotli { .. } => {
            brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out).map(drop)
        }
        CompressorLibrary::Zstd { .. } => zstd::stream::copy_decode(bytes, &mut out),
    }
    .unwrap();
    out
}

#[test]
fn what_goes_in_comes_out() {
    let mut rng = fastrand::Rng::with_seed(7);
    for library in [GZIP, BROTLI, ZSTD] {
        for _ in 0..30 {
            let mut encoder = Encoder::new(library).unwrap();
            let (mut input, mut output) = (Vec::new(), Vec::new());
            for _ in 0..rng.usize(..8) {
                let length = rng.usize(..5000);
                let piece: Vec<u8> = std::iter::repeat_with(|| rng.u8(b'a'..b'e')).take(length).collect();
                encoder.write(&piece).unwrap();
                input.write_all(&piece).unwrap();
                if rng.bool() {
                    encoder.flush().unwrap();
                }
                output.write_all(&encoder.take()).unwrap();
            }
            output.write_all(&encoder.finish().unwrap()).unwrap();
            assert_eq!(decoded(library, &output), input, "{library:?}");
        }
    }
}

#[test]
fn what_was_flushed_can_be_read() {
    let mut encoder = Encoder::new(GZIP).unwrap();
    encoder.write(b"event: 1").unwrap();
    encoder.flush().unwrap();
    let out = encoder.take();
    let mut read = [0; 8];
    flate2::read::GzDecoder::new(&out[..]).read_exact(&mut read).unwrap();
    assert_eq!(&read, b"event: 1");
}
