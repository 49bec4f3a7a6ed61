//! Printing values into a line.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::access_log::command::Value;
use crate::access_log::escape;

/// Appends a value to a text line; a missing one is `-`.
pub(super) fn text(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Missing => out.push(b'-'),
        Value::Text(bytes) => escape::text(out, bytes),
        Value::Time(format, time) => format.text(out, time),
        value => harmless(out, value),
    }
}

/// Appends a value to a JSON string, inside its quotes; a missing one is `-`.
pub(super) fn json_text(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Missing => out.push(b'-'),
        Value::Text(bytes) => escape::json(out, bytes),
        Value::Time(format, time) => format.json(out, time),
        value => harmless(out, value),
    }
}

/// Appends a value as a JSON value of its type; a missing one is `null`.
pub(super) fn json_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Missing => out.extend_from_slice(b"null"),
        Value::Number(number) => integer(out, number),
        value => {
            out.push(b'"');
            json_text(out, value);
            out.push(b'"');
        }
    }
}

/// Values whose text needs no escaping anywhere.
fn harmless(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Number(number) | Value::Digits(number) => integer(out, number),
        Value::Address(address) => socket_address(out, address),
        Value::Ip(address) => ip(out, address.ip().to_canonical(), false),
        Value::Flags { flags, long } if !flags.is_empty() => {
            for (index, flag) in flags.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(if long { flag.long() } else { flag.short() }.as_bytes());
            }
        }
        Value::Flags { .. } | Value::Missing => out.push(b'-'),
        Value::Text(bytes) => escape::json(out, bytes),
        Value::Time(format, time) => format.json(out, time),
    }
}

fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `ip:port`; IPv4 addresses that a dual-stack socket maps into IPv6 print as IPv4, as in Envoy.
fn socket_address(out: &mut Vec<u8>, address: SocketAddr) {
    ip(out, address.ip().to_canonical(), true);
    out.push(b':');
    integer(out, u64::from(address.port()));
}

fn ip(out: &mut Vec<u8>, address: IpAddr, brackets: bool) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        // Writing into a Vec does not fail.
        IpAddr::V6(address) if brackets => drop(write!(out, "[{address}]")),
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}
