//! The objects of CONNECT and INFO.

use std::sync::Arc;

use broker_contract::FrameError;
use serde::Deserialize;

use super::unknown;
use crate::frame::{ConnectOptions, Info, ServerInfo};

/// CONNECT as clients write it: whatever else they say is not for this server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Connect {
    verbose: Option<bool>,
    pedantic: Option<bool>,
    echo: Option<bool>,
    headers: Option<bool>,
    no_responders: Option<bool>,
    protocol: Option<u32>,
    name: Option<Box<str>>,
    lang: Option<Box<str>>,
    version: Option<Box<str>>,
    user: Option<Box<str>>,
    pass: Option<Box<str>>,
    auth_token: Option<Box<str>>,
}

/// INFO as servers write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    server_id: Box<str>,
    server_name: Box<str>,
    version: Box<str>,
    proto: u32,
    host: Box<str>,
    port: u16,
    headers: bool,
    max_payload: u64,
    tls_required: bool,
    tls_verify: bool,
    jetstream: bool,
    client_id: u64,
    client_ip: Option<Box<str>>,
    ldm: bool,
    connect_info: bool,
}

/// Reads the options of CONNECT. A null is as good as nothing.
pub(super) fn connect(text: &[u8]) -> Result<ConnectOptions, FrameError> {
    let given: Connect = serde_json::from_slice(text).map_err(|_| unknown())?;
    Ok(ConnectOptions {
        verbose: given.verbose,
        pedantic: given.pedantic,
        echo: given.echo,
        headers: given.headers.unwrap_or(false),
        no_responders: given.no_responders.unwrap_or(false),
        protocol: given.protocol.unwrap_or(0),
        name: given.name,
        lang: given.lang,
        version: given.version,
        user: given.user,
        pass: given.pass,
        auth_token: given.auth_token,
    })
}

/// Reads what a server says of itself.
pub(super) fn info(text: &[u8]) -> Result<Info, FrameError> {
    let said: Said = serde_json::from_slice(text).map_err(|_| unknown())?;
    let server = ServerInfo {
        server_id: said.server_id,
        server_name: said.server_name,
        version: said.version,
        proto: said.proto,
        host: said.host,
        port: said.port,
        headers: said.headers,
        max_payload: said.max_payload,
        tls_required: said.tls_required,
        tls_verify: said.tls_verify,
        jetstream: said.jetstream,
    };
    Ok(Info {
        server: Arc::new(server),
        client_id: said.client_id,
        client_ip: said.client_ip.map(Arc::from),
        ldm: said.ldm,
        connect_info: said.connect_info,
    })
}
