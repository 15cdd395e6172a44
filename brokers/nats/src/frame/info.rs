//! What a server says of itself, and a client of itself.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::size::Counter;

/// What is the same in every INFO of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// The server's public key, or another name that no two servers share.
    pub server_id: Box<str>,
    /// Its name for people.
    pub server_name: Box<str>,
    /// The version of the protocol's original that it behaves like.
    pub version: Box<str>,
    /// Protocol level, 1.
    pub proto: u32,
    /// Where it listens.
    pub host: Box<str>,
    /// And the port.
    pub port: u16,
    /// Whether it takes headers.
    pub headers: bool,
    /// The largest payload, headers included, in bytes.
    pub max_payload: u64,
    /// Whether TLS follows the first INFO.
    pub tls_required: bool,
    /// Whether the client shows a certificate, too.
    pub tls_verify: bool,
    /// Whether it hosts JetStream.
    pub jetstream: bool,
}

/// INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The server.
    pub server: Arc<ServerInfo>,
    /// The number of this connection over the server's life.
    pub client_id: u64,
    /// The address that the client has.
    pub client_ip: Option<Arc<str>>,
    /// Lame duck: the server is about to close its connections.
    pub ldm: bool,
    /// Whether this INFO answers the first PING.
    pub connect_info: bool,
}

impl Info {
    /// Writes the JSON object that follows `INFO `.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        let server = &*self.server;
        let mut object = Object::open(out)?;
        object.text("server_id", &server.server_id)?;
        object.text("server_name", &server.server_name)?;
        object.text("version", &server.version)?;
        object.number("proto", u64::from(server.proto))?;
        object.text("go", "")?;
        object.text("host", &server.host)?;
        object.number("port", u64::from(server.port))?;
        object.flag("headers", server.headers)?;
        object.number("max_payload", server.max_payload)?;
        for (name, set) in [
            ("tls_required", server.tls_required),
            ("tls_verify", server.tls_verify),
            ("jetstream", server.jetstream),
        ] {
            if set {
                object.flag(name, true)?;
            }
        }
        object.number("client_id", self.client_id)?;
        if let Some(address) = &self.client_ip {
            object.text("client_ip", address)?;
        }
        for (name, set) in [("ldm", self.ldm), ("connect_info", self.connect_info)] {
            if set {
                object.flag(name, true)?;
            }
        }
        object.close()
    }

    /// Bytes of the whole line.
    pub fn wire_len(&self) -> usize {
        line_len("INFO", |out| self.write_json(out))
    }
}

/// CONNECT. A field that is `None` was left out, and the server takes its
/// default, which is `true` for the first three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Answer each operation with `+OK`.
    pub verbose: Option<bool>,
    /// Check the subjects that are published to.
    pub pedantic: Option<bool>,
    /// Deliver a client's own messages to it.
    pub echo: Option<bool>,
    /// Whether the client reads HMSG.
    pub headers: bool,
    /// Whether a request that nobody hears is answered with 503.
    pub no_responders: bool,
    /// 1 when the client reads INFO at any time.
    pub protocol: u32,
    /// The application's name.
    pub name: Option<Box<str>>,
    /// The client library's language.
    pub lang: Option<Box<str>>,
    /// The client library's version.
    pub version: Option<Box<str>>,
    /// User name.
    pub user: Option<Box<str>>,
    /// Its password.
    pub pass: Option<Box<str>>,
    /// Or a token instead.
    pub auth_token: Option<Box<str>>,
}

impl ConnectOptions {
    /// Writes the JSON object that follows `CONNECT `.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        let mut object = Object::open(out)?;
        for (name, flag) in
            [("verbose", self.verbose), ("pedantic", self.pedantic), ("echo", self.echo)]
        {
            if let Some(flag) = flag {
                object.flag(name, flag)?;
            }
        }
        object.flag("headers", self.headers)?;
        object.flag("no_responders", self.no_responders)?;
        object.number("protocol", u64::from(self.protocol))?;
        for (name, text) in [
            ("name", &self.name),
            ("lang", &self.lang),
            ("version", &self.version),
            ("user", &self.user),
            ("pass", &self.pass),
            ("auth_token", &self.auth_token),
        ] {
            if let Some(text) = text {
                object.text(name, text)?;
            }
        }
        object.close()
    }

    /// Bytes of the whole line.
    pub fn wire_len(&self) -> usize {
        line_len("CONNECT", |out| self.write_json(out))
    }
}

/// Bytes of a verb, a blank, what `write` writes, and the line's end.
fn line_len(verb: &str, write: impl FnOnce(&mut dyn Write) -> fmt::Result) -> usize {
    let mut counter = Counter::default();
    // A counter takes whatever it is given, so this cannot fail.
    let _ = write(&mut counter);
    verb.len() + 1 + counter.0 + super::size::CRLF
}

/// A JSON object that is being written.
struct Object<'a> {
    out: &'a mut dyn Write,
    first: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut dyn Write) -> Result<Self, fmt::Error> {
        out.write_char('{')?;
        Ok(Object { out, first: true })
    }

    fn key(&mut self, name: &str) -> fmt::Result {
        if !std::mem::replace(&mut self.first, false) {
            self.out.write_char(',')?;
        }
        write!(self.out, "\"{name}\":")
    }

    fn flag(&mut self, name: &str, value: bool) -> fmt::Result {
        self.key(name)?;
        write!(self.out, "{value}")
    }

    fn number(&mut self, name: &str, value: u64) -> fmt::Result {
        self.key(name)?;
        write!(self.out, "{value}")
    }

    fn text(&mut self, name: &str, value: &str) -> fmt::Result {
        self.key(name)?;
        self.out.write_char('"')?;
        for letter in value.chars() {
            match letter {
                '"' | '\\' => write!(self.out, "\\{letter}")?,
                letter if u32::from(letter) < 0x20 => {
                    write!(self.out, "\\u{:04x}", u32::from(letter))?;
                }
                letter => self.out.write_char(letter)?,
            }
        }
        self.out.write_char('"')
    }

    fn close(self) -> fmt::Result {
        self.out.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_as_json_and_counted() {
        let info = Info {
            server: Arc::new(ServerInfo { server_id: "a\"\u{1}\\".into(), ..Default::default() }),
            client_id: 7,
            client_ip: None,
            ldm: true,
            connect_info: false,
        };
        let mut json = String::new();
        info.write_json(&mut json).expect("a string takes it");
        assert_eq!(
            json,
            "{\"server_id\":\"a\\\"\\u0001\\\\\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\
             \"go\":\"\",\"host\":\"\",\"port\":0,\"headers\":false,\"max_payload\":0,\
             \"client_id\":7,\"ldm\":true}"
        );
        assert_eq!(info.wire_len(), format!("INFO {json}\r\n").len());

        let connect = ConnectOptions { echo: Some(false), protocol: 1, ..Default::default() };
        let mut json = String::new();
        connect.write_json(&mut json).expect("a string takes it");
        assert_eq!(
            json,
            "{\"echo\":false,\"headers\":false,\"no_responders\":false,\"protocol\":1}"
        );
        assert_eq!(connect.wire_len(), format!("CONNECT {json}\r\n").len());
    }
}
