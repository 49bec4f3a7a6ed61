//! `NETWORK_FILTER` MERGE of the HTTP connection manager.

use postern_snapshot::model::{EscapedSlashes, HttpSettings, ServerHeader};

use super::access_log::access_log;
use super::any::Any;
use super::field::Field;
use super::message::Message;
use super::refusal::{Read, Refusal};
use super::scope::CONNECTION_MANAGER;

const TYPES: [&str; 2] = [
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    // Istio takes the old name for the new one.
    "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager",
];

/// What is changed about the connection manager.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ConnectionManager {
    /// What is set here is set there.
    settings: HttpSettings,
    /// Also where it is set to what is the default.
    escaped_slashes: Option<EscapedSlashes>,
}

impl ConnectionManager {
    /// Reads the value of a patch. `origin` is the object.
    pub(super) fn read(mut value: Message<'_>, origin: &str) -> Read<Self> {
        if let Some(name) = value.take("name")?
            && !CONNECTION_MANAGER.contains(&name.text()?)
        {
            let why =
                format!("of the network filters Postern honours patches of {} only", CONNECTION_MANAGER[0]);
            return Err(name.refuse(why));
        }
        let config = value.need("typed_config")?;
        value.finish()?;
        let Any { type_name, mut message } = Any::of(&config)?;
        if !TYPES.contains(&type_name) {
            return Err(config.refuse(format!("{type_name} is not the type of the HTTP connection manager")));
        }
        let mut manager = Self::default();
        manager.timeouts(&mut message)?;
        manager.limits(&mut message)?;
        manager.client_address(&mut message)?;
        manager.server(&mut message)?;
        manager.path(&mut message)?;
        if let Some(list) = message.take("access_log")? {
            manager.settings.access_log = access_log(&list, origin)?;
        }
        message.finish()?;
        Ok(manager)
    }

    fn timeouts(&mut self, message: &mut Message<'_>) -> Read<()> {
        let settings = &mut self.settings;
        if let Some(options) = message.take("common_http_protocol_options")? {
            let mut options = options.message()?;
            settings.idle_timeout = duration(&mut options, "idle_timeout")?;
            options.finish()?;
        }
        settings.stream_idle_timeout = duration(message, "stream_idle_timeout")?;
        settings.request_timeout = duration(message, "request_timeout")?;
        settings.request_headers_timeout = duration(message, "request_headers_timeout")?;
        Ok(())
    }

    fn limits(&mut self, message: &mut Message<'_>) -> Read<()> {
        if let Some(kib) = message.take("max_request_headers_kb")? {
            self.settings.max_request_headers_kb = Some(kib.within(1..=8192)?);
        }
        if let Some(options) = message.take("http2_protocol_options")? {
            let mut options = options.message()?;
            if let Some(streams) = options.take("max_concurrent_streams")? {
                self.settings.max_concurrent_streams = Some(streams.within(1..=0x7fff_ffff)?);
            }
            options.finish()?;
        }
        Ok(())
    }

    fn client_address(&mut self, message: &mut Message<'_>) -> Read<()> {
        self.settings.use_remote_address = boolean(message, "use_remote_address")?;
        if let Some(hops) = message.take("xff_num_trusted_hops")? {
            // Merging 0 changes nothing (protobuf).
            self.settings.xff_trusted_hops = Some(hops.u32()?).filter(|hops| *hops != 0);
        }
        Ok(())
    }

    fn server(&mut self, message: &mut Message<'_>) -> Read<()> {
        if let Some(name) = message.take("server_name")? {
            let text = name.text()?;
            if text.chars().any(|c| !c.is_ascii() || c.is_ascii_control()) {
                return Err(name.refuse("a header's value is of printable characters"));
            }
            self.settings.server_name = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        if let Some(transformation) = message.take("server_header_transformation")? {
            self.settings.server_header = Some(transformation.one_of(&[
                ("OVERWRITE", 0, ServerHeader::Overwrite),
                ("APPEND_IF_ABSENT", 1, ServerHeader::AppendIfAbsent),
                ("PASS_THROUGH", 2, ServerHeader::PassThrough),
            ])?);
        }
        Ok(())
    }

    fn path(&mut self, message: &mut Message<'_>) -> Read<()> {
        self.settings.normalize_path = boolean(message, "normalize_path")?;
        self.settings.merge_slashes = boolean(message, "merge_slashes")?.unwrap_or_default();
        if let Some(action) = message.take("path_with_escaped_slashes_action")? {
            self.escaped_slashes = action.one_of(&[
                ("IMPLEMENTATION_SPECIFIC_DEFAULT", 0, None),
                ("KEEP_UNCHANGED", 1, Some(EscapedSlashes::KeepUnchanged)),
                ("REJECT_REQUEST", 2, Some(EscapedSlashes::RejectRequest)),
                ("UNESCAPE_AND_REDIRECT", 3, Some(EscapedSlashes::UnescapeAndRedirect)),
                ("UNESCAPE_AND_FORWARD", 4, Some(EscapedSlashes::UnescapeAndForward)),
            ])?;
        }
        Ok(())
    }

    /// Why it cannot be merged into these. Of two access logs Envoy would write both.
    pub(super) fn conflict(&self, target: &HttpSettings) -> Option<&'static str> {
        let both = self.settings.access_log.is_some() && target.access_log.is_some();
        both.then_some("another patch has set access_log already, and Postern writes one")
    }

    /// Merges it in. There is no [conflict](Self::conflict).
    pub(super) fn merge_into(&self, target: &mut HttpSettings) {
        let HttpSettings {
            xff_trusted_hops,
            use_remote_address,
            idle_timeout,
            stream_idle_timeout,
            request_timeout,
            request_headers_timeout,
            max_request_headers_kb,
            max_concurrent_streams,
            server_name,
            server_header,
            normalize_path,
            merge_slashes,
            escaped_slashes: _,
            access_log,
        } = &self.settings;
        set(&mut target.xff_trusted_hops, xff_trusted_hops);
        set(&mut target.use_remote_address, use_remote_address);
        set(&mut target.idle_timeout, idle_timeout);
        set(&mut target.stream_idle_timeout, stream_idle_timeout);
        set(&mut target.request_timeout, request_timeout);
        set(&mut target.request_headers_timeout, request_headers_timeout);
        set(&mut target.max_request_headers_kb, max_request_headers_kb);
        set(&mut target.max_concurrent_streams, max_concurrent_streams);
        set(&mut target.server_name, server_name);
        set(&mut target.normalize_path, normalize_path);
        set(&mut target.access_log, access_log);
        target.merge_slashes |= merge_slashes;
        set_value(&mut target.escaped_slashes, self.escaped_slashes);
        match server_header {
            // Merging the default changes nothing (protobuf), but it is not Postern's default.
            Some(ServerHeader::Overwrite) => {
                target.server_header = target.server_header.or(Some(ServerHeader::Overwrite));
            }
            Some(other) => target.server_header = Some(*other),
            // Istio's connection managers replace what the upstream says.
            None if server_name.is_some() => {
                target.server_header = target.server_header.or(Some(ServerHeader::Overwrite));
            }
            None => {}
        }
    }
}

fn set<T: Clone>(target: &mut Option<T>, value: &Option<T>) {
    if value.is_some() {
        target.clone_from(value);
    }
}

fn set_value<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn duration(message: &mut Message<'_>, name: &str) -> Result<Option<std::time::Duration>, Refusal> {
    message.take(name)?.as_ref().map(Field::duration).transpose()
}

fn boolean(message: &mut Message<'_>, name: &str) -> Read<Option<bool>> {
    message.take(name)?.as_ref().map(Field::bool).transpose()
}
