//! `envoy.extensions.filters.http.compressor.v3.Compressor` and its libraries.

use postern_snapshot::model::{Compressor, CompressorLibrary};

use super::any::Any;
use super::field::Field;
use super::message::Message;
use super::refusal::{Note, Read};

pub(super) const TYPE: &str = "envoy.extensions.filters.http.compressor.v3.Compressor";
pub(super) const PER_ROUTE_TYPE: &str = "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute";

const GZIP: &str = "envoy.extensions.compression.gzip.compressor.v3.Gzip";
const BROTLI: &str = "envoy.extensions.compression.brotli.compressor.v3.Brotli";
const ZSTD: &str = "envoy.extensions.compression.zstd.compressor.v3.Zstd";

const TUNING: &str = "what is compressed can be read by any client; Postern's library chooses this itself";

/// The filter.
pub(super) fn compressor(mut message: Message<'_>, notes: &mut Vec<Note>) -> Read<Compressor> {
    let library = message.need("compressor_library")?;
    let mut compressor = Compressor {
        library: read_library(&library, notes)?,
        min_content_length: None,
        content_types: Vec::new(),
        disable_on_etag_header: false,
        remove_accept_encoding_header: false,
        choose_first: boolean(&mut message, "choose_first")?,
    };
    match message.take("response_direction_config")? {
        Some(config) => {
            let mut config = config.message()?;
            if let Some(common) = config.take("common_config")? {
                let mut common = common.message()?;
                conditions(&mut common, "min_content_length", "enabled", &mut compressor)?;
                common.finish()?;
            }
            flags(&mut config, &mut compressor)?;
            config.finish()?;
        }
        // The older form has the same on top.
        None => {
            conditions(&mut message, "content_length", "runtime_enabled", &mut compressor)?;
            flags(&mut message, &mut compressor)?;
        }
    }
    if let Some(config) = message.take("request_direction_config")? {
        request_direction(&config)?;
    }
    message.finish()?;
    Ok(compressor)
}

/// `CompressorPerRoute`: are responses left alone?
pub(super) fn disabled_per_route(mut message: Message<'_>) -> Read<bool> {
    let disabled = message.need("disabled")?;
    message.finish()?;
    if disabled.bool()? { Ok(true) } else { Err(disabled.refuse("Envoy allows true only")) }
}

fn conditions(
    message: &mut Message<'_>,
    length: &str,
    enabled: &str,
    compressor: &mut Compressor,
) -> Read<()> {
    if let Some(enabled) = message.take(enabled)?
        && !flag(&enabled)?
    {
        return Err(enabled.refuse("the filter would do nothing; leave the patch out instead"));
    }
    if let Some(length) = message.take(length)? {
        compressor.min_content_length = Some(length.u32()?);
    }
    if let Some(types) = message.take("content_type")? {
        for content_type in types.list()? {
            compressor.content_types.push(content_type.text()?.trim().to_ascii_lowercase());
        }
    }
    Ok(())
}

fn flags(message: &mut Message<'_>, compressor: &mut Compressor) -> Read<()> {
    compressor.disable_on_etag_header = boolean(message, "disable_on_etag_header")?;
    compressor.remove_accept_encoding_header = boolean(message, "remove_accept_encoding_header")?;
    Ok(())
}

/// Requests are not compressed: the direction must be switched off. Envoy's default is on, if it is there.
fn request_direction(config: &Field<'_>) -> Read<()> {
    let mut message = config.message()?;
    let common = message.take("common_config")?;
    message.finish()?;
    let is_enabled = match common {
        None => true,
        Some(common) => {
            let mut common = common.message()?;
            let enabled = common.take("enabled")?.as_ref().map_or(Ok(true), flag)?;
            if !enabled {
                // What else is said does not matter then.
                return Ok(());
            }
            enabled
        }
    };
    if is_enabled { Err(config.refuse("Postern does not compress requests")) } else { Ok(()) }
}

/// `RuntimeFeatureFlag`. There is no runtime that could say otherwise than the default.
fn flag(field: &Field<'_>) -> Read<bool> {
    let mut message = field.message()?;
    if let Some(key) = message.take("runtime_key")? {
        key.text()?;
    }
    let value = message.need("default_value")?.bool()?;
    message.finish()?;
    Ok(value)
}

fn boolean(message: &mut Message<'_>, name: &str) -> Read<bool> {
    message.take(name)?.map_or(Ok(false), |field| field.bool())
}

fn read_library(library: &Field<'_>, notes: &mut Vec<Note>) -> Read<CompressorLibrary> {
    let mut message = library.message()?;
    if let Some(name) = message.take("name")? {
        name.text()?;
    }
    let config = message.need("typed_config")?;
    message.finish()?;
    let Any { type_name, mut message } = Any::of(&config)?;
    let tuning: &[&str];
    let library = match type_name {
        GZIP => {
            tuning = &["memory_level", "window_bits", "chunk_size", "compression_strategy"];
            CompressorLibrary::Gzip { level: gzip_level(&mut message)? }
        }
        BROTLI => {
            tuning = &["encoder_mode", "input_block_bits", "chunk_size", "disable_literal_context_modeling"];
            CompressorLibrary::Brotli {
                quality: number(&mut message, "quality", 0..=11)?,
                window_bits: number(&mut message, "window_bits", 10..=24)?,
            }
        }
        ZSTD => {
            tuning = &["enable_checksum", "strategy", "chunk_size"];
            CompressorLibrary::Zstd { level: number(&mut message, "compression_level", 1..=19)? }
        }
        other => {
            let why = format!("Postern compresses with gzip, brotli and zstd, not with {other}");
            return Err(config.refuse(why));
        }
    };
    for name in tuning {
        message.ignore(name, TUNING, notes)?;
    }
    message.finish()?;
    Ok(library)
}

fn number(message: &mut Message<'_>, name: &str, range: std::ops::RangeInclusive<u32>) -> Read<Option<u32>> {
    message.take(name)?.map(|field| field.within(range)).transpose()
}

/// Envoy's names of zlib's levels.
fn gzip_level(message: &mut Message<'_>) -> Read<Option<u32>> {
    let Some(level) = message.take("compression_level")? else { return Ok(None) };
    level.one_of(&[
        ("DEFAULT_COMPRESSION", 0, None),
        ("BEST_SPEED", 1, Some(1)),
        ("COMPRESSION_LEVEL_1", 1, Some(1)),
        ("COMPRESSION_LEVEL_2", 2, Some(2)),
        ("COMPRESSION_LEVEL_3", 3, Some(3)),
        ("COMPRESSION_LEVEL_4", 4, Some(4)),
        ("COMPRESSION_LEVEL_5", 5, Some(5)),
        ("COMPRESSION_LEVEL_6", 6, Some(6)),
        ("COMPRESSION_LEVEL_7", 7, Some(7)),
        ("COMPRESSION_LEVEL_8", 8, Some(8)),
        ("COMPRESSION_LEVEL_9", 9, Some(9)),
        ("BEST_COMPRESSION", 9, Some(9)),
    ])
}
