//! Sessions of redis-rs with `lab serve`. Usage: REDIS_PORT GUARDED_PORT SECURE_PORT
//! SEALED_PORT FOLDER; the guarded bus asks for the password `secret` and has a user
//! `reader` (password `read`) that may only subscribe to news.* The secure one speaks
//! TLS; the sealed one is guarded, speaks TLS and asks for a certificate. The folder
//! has ca.pem, client.pem and client.key.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{
    Client, ClientTlsConfig, Commands as _, Connection, PushInfo, PushKind, RedisResult,
    TlsCertificates, Value,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(10);
const LIMIT: &str = "client-output-buffer-limit";

/// A server of the bus, and what it takes to get in.
struct Bus {
    port: String,
    tls: Option<TlsCertificates>,
}

impl Bus {
    fn client(&self, who: &str, protocol: &str) -> RedisResult<Client> {
        let Bus { port, tls } = self;
        let rest = format!("{who}localhost:{port}/?protocol={protocol}");
        match tls {
            None => Client::open(format!("redis://{rest}")),
            Some(tls) => Client::build_with_tls(format!("rediss://{rest}"), tls.clone()),
        }
    }
}

/// Waits until something holds that another connection has asked for.
fn until(mut holds: impl FnMut() -> RedisResult<bool>) -> Outcome {
    let since = std::time::Instant::now();
    while !holds()? {
        if since.elapsed() > LONG {
            return Err("it never held".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn subscribers(conn: &mut Connection, channel: &str) -> RedisResult<i64> {
    let counts: BTreeMap<String, i64> =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(channel).query(conn)?;
    Ok(counts.get(channel).copied().unwrap_or(0))
}

/// The blocking client: subscribe, pattern, pipeline, transaction, errors.
fn blocking(bus: &Bus, protocol: &str) -> Outcome {
    let client = bus.client("", protocol)?;
    let mut conn = client.get_connection()?;
    let mut listening = bus.client("", "resp2")?.get_connection()?;
    let mut pubsub = listening.as_pubsub();
    pubsub.set_read_timeout(Some(LONG))?;
    pubsub.subscribe("rs.a")?;
    pubsub.psubscribe("rs.*")?;
    let heard: i64 = conn.publish("rs.a", "text")?;
    assert_eq!(heard, 2);
    let (first, second) = (pubsub.get_message()?, pubsub.get_message()?);
    assert_eq!((first.get_payload::<String>()?, first.get_channel_name()), ("text".into(), "rs.a"));
    assert_eq!(second.get_pattern::<String>()?, "rs.*");
    let mut pipe = redis::pipe();
    for number in 0..500 {
        pipe.publish("rs.b", number);
    }
    let counts: Vec<i64> = pipe.query(&mut conn)?;
    assert_eq!(counts, [1; 500]);
    for number in 0..500 {
        assert_eq!(pubsub.get_message()?.get_payload::<i64>()?, number, "in order");
    }
    let counts: (i64, i64) =
        redis::pipe().atomic().publish("rs.b", 1).publish("nobody", 2).query(&mut conn)?;
    assert_eq!(counts, (1, 0));
    let refused: RedisResult<String> = conn.get("key");
    let error = refused.expect_err("there are no keys");
    assert!(error.to_string().contains("unknown command"), "{error}");
    pubsub.unsubscribe("rs.a")?;
    pubsub.punsubscribe("rs.*")?;
    let heard: i64 = conn.publish("rs.a", "text")?;
    assert_eq!(heard, 0);
    Ok(())
}

/// Version 3, where pushes come beside replies: all three kinds on one connection.
fn pushes(bus: &Bus) -> Outcome {
    let mut conn = bus.client("", "resp3")?.get_connection()?;
    let mut other = bus.client("", "resp3")?.get_connection()?;
    let (sender, pushed) = mpsc::channel::<PushInfo>();
    conn.set_push_sender(sender);
    conn.subscribe_resp3("push.a")?;
    conn.psubscribe_resp3("push.*")?;
    redis::cmd("SSUBSCRIBE").arg("push.a").set_no_response(true).exec(&mut conn)?;
    until(|| Ok(subscribers(&mut other, "push.a")? == 1))?;
    let heard: i64 = conn.publish("push.a", "own")?;
    assert_eq!(heard, 2, "who publishes hears itself");
    let heard: i64 = redis::cmd("SPUBLISH").arg("push.a").arg("part").query(&mut other)?;
    assert_eq!(heard, 1);
    let mut kinds = Vec::new();
    while kinds.len() < 6 {
        // A reply takes in the pushes that lie before it.
        redis::cmd("PING").exec(&mut conn)?;
        kinds.extend(pushed.try_iter().map(|push| (push.kind, push.data)));
    }
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let messages: Vec<_> = kinds.split_off(3);
    let confirmed: Vec<_> = kinds.iter().map(|(kind, _)| kind.clone()).collect();
    assert_eq!(confirmed, [PushKind::Subscribe, PushKind::PSubscribe, PushKind::SSubscribe]);
    let expected = [
        (PushKind::Message, vec![text("push.a"), text("own")]),
        (PushKind::PMessage, vec![text("push.*"), text("push.a"), text("own")]),
        (PushKind::SMessage, vec![text("push.a"), text("part")]),
    ];
    assert_eq!(messages, expected);
    Ok(())
}

/// A subscriber that does not read is cut at the limit, and nobody else is.
fn slow(bus: &Bus) -> Outcome {
    let client = bus.client("", "resp2")?;
    let mut conn = client.get_connection()?;
    let before: BTreeMap<String, String> =
        redis::cmd("CONFIG").arg("GET").arg(LIMIT).query(&mut conn)?;
    redis::cmd("CONFIG").arg("SET").arg(LIMIT).arg("pubsub 1mb 0 0").exec(&mut conn)?;
    let mut listening = client.get_connection()?;
    let mut pubsub = listening.as_pubsub();
    pubsub.set_read_timeout(Some(LONG))?;
    pubsub.subscribe("slow")?;
    let payload = vec![b'x'; 256 << 10];
    let mut sent = 0;
    while subscribers(&mut conn, "slow")? == 1 {
        let _: i64 = conn.publish("slow", &payload)?;
        sent += 1;
        assert!(sent < 400, "100 MiB did not get a reader cut that does not read");
    }
    let mut heard = 0;
    let error = loop {
        match pubsub.get_message() {
            Ok(_) => heard += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_connection_dropped() || error.is_io_error(), "{error}");
    assert!(heard < sent, "what was pending is lost: {heard} of {sent}");
    redis::cmd("CONFIG").arg("SET").arg(LIMIT).arg(&before[LIMIT]).exec(&mut conn)?;
    Ok(())
}

/// Passwords and what a user may.
fn guarded(bus: &Bus, protocol: &str) -> Outcome {
    let refused = bus.client("", protocol)?.get_connection().and_then(|mut conn| conn.ping());
    let refused: RedisResult<String> = refused;
    assert!(refused.is_err(), "nobody is let in without a password");
    let error = match bus.client(":wrong@", protocol)?.get_connection() {
        Ok(_) => return Err("a wrong password was taken".into()),
        Err(error) => error,
    };
    // Where it sends AUTH itself, the client has an error of its own for the answer.
    let is_told =
        error.code() == Some("WRONGPASS") || error.kind() == redis::ErrorKind::AuthenticationFailed;
    assert!(is_told, "{error}");
    let mut admin = bus.client(":secret@", protocol)?.get_connection()?;
    let mut reader = bus.client("reader:read@", protocol)?.get_connection()?;
    let refused: RedisResult<i64> = reader.publish("news.a", "x");
    assert_eq!(refused.expect_err("may not").code(), Some("NOPERM"));
    let mut listening = bus.client("reader:read@", "resp2")?.get_connection()?;
    let mut pubsub = listening.as_pubsub();
    pubsub.set_read_timeout(Some(LONG))?;
    pubsub.subscribe("news.a")?;
    let heard: i64 = admin.publish("news.a", "text")?;
    assert_eq!((heard, pubsub.get_message()?.get_payload::<String>()?), (1, "text".to_owned()));
    // Whether the client says so or not: it is not one of its channels.
    let _ = pubsub.subscribe("secrets");
    let heard: i64 = admin.publish("secrets", "text")?;
    assert_eq!(heard, 0);
    redis::cmd("ACL")
        .arg(&["SETUSER", "rs", "on", ">rs", "&rs.*", "+publish", "+hello", "+client"])
        .exec(&mut admin)?;
    let mut writer = bus.client("rs:rs@", protocol)?.get_connection()?;
    let heard: i64 = writer.publish("rs.a", "x")?;
    assert_eq!(heard, 0);
    let removed: i64 = redis::cmd("ACL").arg("DELUSER").arg("rs").query(&mut admin)?;
    assert_eq!(removed, 1);
    let gone: RedisResult<i64> = writer.publish("rs.a", "x");
    assert!(gone.is_err(), "its connections end with it");
    Ok(())
}

/// tokio: one connection for many tasks, and a subscriber of its own.
async fn tokio_client(bus: &Bus, protocol: &str) -> Outcome {
    let client = bus.client("", protocol)?;
    let conn = client.get_multiplexed_async_connection().await?;
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.subscribe("tokio.a").await?;
    pubsub.psubscribe("tokio.*").await?;
    let tasks = (0..100).map(|number| {
        let mut conn = conn.clone();
        tokio::spawn(async move {
            redis::cmd("PUBLISH").arg("tokio.a").arg(number).query_async::<i64>(&mut conn).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await??, 2);
    }
    let mut stream = pubsub.into_on_message();
    let mut numbers = Vec::new();
    while numbers.len() < 200 {
        let message = tokio::time::timeout(LONG, stream.next()).await?.ok_or("it ended")?;
        numbers.push(message.get_payload::<i64>()?);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).flat_map(|number| [number; 2]).collect::<Vec<i64>>());
    let mut conn = conn;
    let counts: (i64, i64) = redis::pipe()
        .atomic()
        .cmd("PUBLISH")
        .arg("nobody")
        .arg(1)
        .cmd("PUBLISH")
        .arg("nobody")
        .arg(2)
        .query_async(&mut conn)
        .await?;
    assert_eq!(counts, (0, 0));
    Ok(())
}

/// A managed connection that is killed comes back, and so do its subscriptions.
async fn reconnects(bus: &Bus) -> Outcome {
    let client = bus.client("", "resp3")?;
    let mut other = client.get_multiplexed_async_connection().await?;
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel::<PushInfo>();
    let config = redis::aio::ConnectionManagerConfig::new()
        .set_push_sender(sender)
        .set_automatic_resubscription();
    let mut managed = client.get_connection_manager_with_config(config).await?;
    managed.subscribe("managed").await?;
    let id: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut managed).await?;
    let killed: i64 =
        redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async(&mut other).await?;
    assert_eq!(killed, 1);
    let since = std::time::Instant::now();
    loop {
        // What it is asked while it is away may fail; then it connects again.
        let _: RedisResult<String> = redis::cmd("PING").query_async(&mut managed).await;
        let heard: i64 =
            redis::cmd("PUBLISH").arg("managed").arg("back").query_async(&mut other).await?;
        if heard == 1 {
            break;
        }
        assert!(since.elapsed() < LONG, "it did not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    loop {
        let push = tokio::time::timeout(LONG, pushed.recv()).await?.ok_or("it ended")?;
        if push.kind == PushKind::Message {
            assert_eq!(push.data[1], Value::BulkString(b"back".to_vec()));
            return Ok(());
        }
    }
}

/// Without the right certificates nobody gets in.
fn sealed(bus: &Bus) -> Outcome {
    let root_cert = bus.tls.as_ref().and_then(|tls| tls.root_cert.clone());
    for root_cert in [root_cert, None] {
        let tls = Some(TlsCertificates { client_tls: None, root_cert });
        let bare = Bus { port: bus.port.clone(), tls };
        // With version 1.3 a client may hear only after its first command.
        let asked = bare.client(":secret@", "resp2")?.get_connection();
        let asked: RedisResult<String> = asked.and_then(|mut conn| conn.ping());
        assert!(asked.is_err(), "somebody came without a certificate");
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [open, guarded_port, secure, sealed_port, folder] = &args[..] else {
        return Err("four ports and a folder".into());
    };
    let file = |name: &str| std::fs::read(format!("{folder}/{name}"));
    let client_tls =
        Some(ClientTlsConfig { client_cert: file("client.pem")?, client_key: file("client.key")? });
    let root_cert = Some(file("ca.pem")?);
    let shown = TlsCertificates { client_tls, root_cert: root_cert.clone() };
    let checked = TlsCertificates { client_tls: None, root_cert };
    let bus = |port: &String, tls| Bus { port: port.clone(), tls };
    let doors = [bus(guarded_port, None), bus(sealed_port, Some(shown))];
    for (bus, guarded_bus) in [bus(open, None), bus(secure, Some(checked))].iter().zip(&doors) {
        for protocol in ["resp2", "resp3"] {
            blocking(bus, protocol)?;
            guarded(guarded_bus, protocol)?;
            tokio_client(bus, protocol).await?;
        }
        pushes(bus)?;
        slow(bus)?;
        reconnects(bus).await?;
    }
    sealed(&doors[1])
}
