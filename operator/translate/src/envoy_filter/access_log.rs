//! The connection manager's `access_log`: the format of the lines. Where they go is the proxy's own affair: its standard
//! output, as Istio has it.

use postern_snapshot::model::{AccessLog, AccessLogFormat};

use super::any::Any;
use super::field::Field;
use super::message::Message;
use super::refusal::{Read, Refusal};

const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const OLD_FILE: &str = "envoy.config.accesslog.v2.FileAccessLog";
const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";

/// Envoy's format where none is given (Envoy, "Access logging", default format string).
const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// Reads the list, of which there may be one.
pub(super) fn access_log(list: &Field<'_>, origin: &str) -> Read<Option<AccessLog>> {
    let logs = list.list()?;
    match logs.as_slice() {
        [] => Ok(None),
        [log] => Ok(Some(AccessLog { origin: origin.to_owned(), format: format(log)? })),
        [_, second, ..] => Err(second.refuse("Postern writes one access log")),
    }
}

fn format(log: &Field<'_>) -> Read<AccessLogFormat> {
    let mut log = log.message()?;
    // What it is called is of no consequence; the type counts.
    if let Some(name) = log.take("name")? {
        name.text()?;
    }
    let config = log.need("typed_config")?;
    log.finish()?;
    let Any { type_name, mut message } = Any::of(&config)?;
    let format = match type_name {
        FILE | OLD_FILE => {
            let path = message.need("path")?;
            if path.text()? != "/dev/stdout" {
                return Err(path.refuse("Postern writes its access log to /dev/stdout only"));
            }
            file_format(&mut message)?
        }
        STDOUT => log_format(&mut message)?,
        other => {
            let why = format!("Postern knows the access loggers {FILE} and {STDOUT}, not {other}");
            return Err(config.refuse(why));
        }
    };
    message.finish()?;
    Ok(format.unwrap_or_else(|| AccessLogFormat::Text(DEFAULT_FORMAT.to_owned())))
}

/// Of `log_format`, and the older `format` and `json_format`, one.
fn file_format(message: &mut Message<'_>) -> Read<Option<AccessLogFormat>> {
    let text = message.take("format")?.map(|field| text(&field)).transpose()?;
    let json = message.take("json_format")?.map(|field| json(&field)).transpose()?;
    let new = log_format(message)?;
    one(message, [new, text, json])
}

/// `SubstitutionFormatString`
fn log_format(message: &mut Message<'_>) -> Read<Option<AccessLogFormat>> {
    let Some(field) = message.take("log_format")? else { return Ok(None) };
    let mut message = field.message()?;
    let text_format = message.take("text_format")?.map(|field| text(&field)).transpose()?;
    let json = message.take("json_format")?.map(|field| json(&field)).transpose()?;
    let source = match message.take("text_format_source")? {
        None => None,
        Some(source) => {
            let mut source = source.message()?;
            let format = text(&source.need("inline_string")?)?;
            source.finish()?;
            Some(format)
        }
    };
    let format = one(&message, [text_format, json, source])?;
    message.finish()?;
    if format.is_none() {
        return Err(field.refuse("it says neither text_format_source nor json_format"));
    }
    Ok(format)
}

fn one(message: &Message<'_>, formats: [Option<AccessLogFormat>; 3]) -> Read<Option<AccessLogFormat>> {
    let mut formats = formats.into_iter().flatten();
    match (formats.next(), formats.next()) {
        (format, None) => Ok(format),
        _ => Err(Refusal::new(message.path().clone(), "it has several formats")),
    }
}

fn text(field: &Field<'_>) -> Read<AccessLogFormat> {
    checked(field, AccessLogFormat::Text(field.text()?.to_owned()))
}

fn json(field: &Field<'_>) -> Read<AccessLogFormat> {
    let fields = field.value().as_object();
    let fields = fields.cloned().ok_or_else(|| field.refuse("it must be a message"))?;
    checked(field, AccessLogFormat::Json(fields))
}

fn checked(field: &Field<'_>, format: AccessLogFormat) -> Read<AccessLogFormat> {
    format.check().map_err(|bad| field.refuse(bad.to_string()))?;
    Ok(format)
}
