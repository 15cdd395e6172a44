"""Sessions of redis-py and nats-py with `lab serve`.

Usage: REDIS_PORT NATS_PORT GUARDED_PORT SECURE_REDIS_PORT SECURE_NATS_PORT
SEALED_REDIS_PORT FOLDER; the guarded bus asks for the password `secret` and has a user
`reader` (password `read`) that may only subscribe to news.* The secure servers speak
TLS; the sealed bus is guarded, speaks TLS and asks for a certificate. The folder has
ca.pem, client.pem and client.key.
"""

import asyncio
import ssl
import sys

import nats
import redis
import redis.asyncio

LIMIT = "client-output-buffer-limit"


def same(what, expected, got):
    if expected != got:
        sys.exit(f"{what}: expected {expected!r}, got {got!r}")


def refused(what, kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    sys.exit(f"{what}: nothing was refused")


def next_message(pubsub):
    for _ in range(50):
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message:
            return message
    sys.exit("no message came")


def in_force(pubsub, count):
    """Waits for `count` confirmations, so that nothing is sent too early."""
    for _ in range(100):
        message = pubsub.get_message(timeout=0.1)
        count -= message is not None and message["type"].endswith("subscribe")
        if count == 0:
            return
    sys.exit("a subscription was not confirmed")


def bus(protocol, **to):
    client = redis.Redis(protocol=protocol, decode_responses=True, **to)
    pubsub = client.pubsub()
    pubsub.subscribe("news.a")
    pubsub.psubscribe("news.*")
    pubsub.ssubscribe("news.a")
    in_force(pubsub, 3)
    same("receivers", 2, client.publish("news.a", "text"))
    kinds = sorted(next_message(pubsub)["type"] for _ in range(2))
    same("kinds", ["message", "pmessage"], kinds)
    same("sharded receivers", 1, client.execute_command("SPUBLISH", "news.a", "part"))
    message = next_message(pubsub)
    same("sharded", ("smessage", "part"), (message["type"], message["data"]))
    same("numsub", [("news.a", 1)], client.pubsub_numsub("news.a"))
    same("channels", ["news.a"], client.pubsub_channels())
    same("patterns", 1, client.pubsub_numpat())
    with client.pipeline(transaction=True) as pipe:
        pipe.publish("news.b", "1").publish("nobody", "2")
        same("transaction", [1, 0], pipe.execute())
    with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.publish("news.c", number)
        same("pipeline", [1] * 1000, pipe.execute())
    got = [next_message(pubsub)["data"] for _ in range(1001)]
    same("order", ["1"] + [str(number) for number in range(1000)], got)
    same("unknown", True, "unknown command" in refused(
        "a key", redis.ResponseError, lambda: client.get("key")))
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    pubsub.sunsubscribe()
    in_force(pubsub, 3)
    same("nobody", 0, client.publish("news.a", "text"))
    pubsub.close()
    client.close()


def cut_and_back(protocol, **to):
    """A subscriber that is killed connects again by itself, and so is one that did
    not read and was cut at the limit of its buffer."""
    client = redis.Redis(protocol=protocol, **to)
    pubsub = client.pubsub()
    pubsub.subscribe("back")
    in_force(pubsub, 1)
    same("killed", 1, client.execute_command("CLIENT", "KILL", "TYPE", "pubsub"))
    in_force(pubsub, 1)
    same("back", 1, client.publish("back", "again"))
    same("again", b"again", next_message(pubsub)["data"])

    before = client.config_get(LIMIT)[LIMIT]
    client.config_set(LIMIT, "pubsub 1mb 0 0")
    sent, payload = 0, b"x" * 262144
    while client.pubsub_numsub("back") != [(b"back", 0)]:
        client.publish("back", payload)
        sent += 1
        if sent > 400:
            sys.exit("100 MiB did not get a reader cut that does not read")
    client.config_set(LIMIT, before)
    heard = 0
    while client.pubsub_numsub("back") == [(b"back", 0)]:
        message = pubsub.get_message(timeout=0.1)
        heard += message is not None and message["type"] == "message"
    same("lost some", True, heard < sent)
    same("back", 1, client.publish("back", "late"))
    same("late", b"late", next_message(pubsub)["data"])
    pubsub.close()
    client.close()


def guarded(protocol, **to):
    def as_user(**who):
        return redis.Redis(protocol=protocol, decode_responses=True, **to, **who)

    refused("nobody", redis.AuthenticationError, lambda: as_user().ping())
    refused("wrong", redis.AuthenticationError, lambda: as_user(password="wrong").ping())
    admin = as_user(password="secret")
    same("whoami", "default", admin.acl_whoami())
    reader = as_user(username="reader", password="read")
    refused("publish", redis.exceptions.NoPermissionError, lambda: reader.publish("news.a", "x"))
    pubsub = reader.pubsub()
    pubsub.subscribe("news.a")
    in_force(pubsub, 1)
    same("heard", 1, admin.publish("news.a", "text"))
    same("text", "text", next_message(pubsub)["data"])
    pubsub.subscribe("secrets")
    refused("a channel", redis.exceptions.NoPermissionError, lambda: next_message(pubsub))
    pubsub.close()
    admin.acl_setuser("writer", enabled=True, passwords=["+write"], commands=["+publish"],
                      channels=["news.*"])
    writer = as_user(username="writer", password="write")
    same("nobody listens", 0, writer.publish("news.b", "x"))
    refused("elsewhere", redis.exceptions.NoPermissionError, lambda: writer.publish("other", "x"))
    same("removed", 1, admin.acl_deluser("writer"))
    refused("gone", redis.exceptions.RedisError, lambda: writer.publish("news.b", "x"))


async def heard(pubsub):
    for _ in range(50):
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message:
            return message
    sys.exit("no message came")


async def bus_async(protocol, **to):
    client = redis.asyncio.Redis(protocol=protocol, decode_responses=True, **to)
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("async")
        await pubsub.psubscribe("a*")
        await pubsub.ssubscribe("async")
        for _ in range(100):
            if await client.pubsub_numpat() == 1 and await client.execute_command(
                "PUBSUB", "SHARDNUMSUB", "async"
            ) in (["async", 1], {"async": 1}):
                break
        same("receivers", 2, await client.publish("async", "text"))
        same("kinds", ["message", "pmessage"],
             sorted([(await heard(pubsub))["type"] for _ in range(2)]))
        same("sharded", 1, await client.execute_command("SPUBLISH", "async", "part"))
        same("smessage", "smessage", (await heard(pubsub))["type"])
        async with client.pipeline(transaction=True) as pipe:
            same("transaction", [2, 0], await pipe.publish("async", "1").publish("b", "2").execute())
        await asyncio.gather(*(client.publish("ask", str(number)) for number in range(50)))
        await heard(pubsub)
        await heard(pubsub)
        same("killed", 1, await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub"))
        for _ in range(100):
            # It connects again when it looks for a message, and finds none yet.
            await pubsub.get_message(timeout=0.1)
            if await client.publish("async", "back") == 2:
                break
        while (await heard(pubsub))["data"] != "back":
            pass
    await client.aclose()


async def guarded_async(**to):
    reader = redis.asyncio.Redis(username="reader", password="read", **to)
    try:
        await reader.publish("news.a", "x")
        sys.exit("a reader published")
    except redis.exceptions.NoPermissionError:
        pass
    await reader.aclose()


async def subjects(port, tls=None):
    client = await nats.connect(f"nats://localhost:{port}", tls=tls)
    seen = {"all": 0, "group": 0}

    async def count(name):
        async def handler(_message):
            seen[name] += 1

        return handler

    await client.subscribe("orders.>", cb=await count("all"))
    for _ in range(3):
        await client.subscribe("orders.*", queue="workers", cb=await count("group"))
    answers = await client.subscribe("echo")
    for number in range(30):
        await client.publish(f"orders.{number}", b"text", headers={"Number": str(number)})
    await client.flush()
    for _ in range(50):
        if seen == {"all": 30, "group": 30}:
            break
        await asyncio.sleep(0.1)
    same("deliveries", {"all": 30, "group": 30}, seen)

    async def answer():
        message = await answers.next_msg(timeout=5)
        await message.respond(message.data * 2)

    task = asyncio.create_task(answer())
    same("answer", b"xx", (await client.request("echo", b"x", timeout=5)).data)
    await task
    try:
        await client.request("nobody", b"x", timeout=5)
        sys.exit("nobody answered")
    except nats.errors.NoRespondersError:
        pass
    once = await client.subscribe("once")
    await once.unsubscribe(limit=1)
    await client.publish("once", b"1")
    await client.publish("once", b"2")
    same("once", b"1", (await once.next_msg(timeout=5)).data)
    await client.flush()
    same("large", True, await large(client))
    await client.drain()


async def large(client):
    """A message of the largest size goes through, and a larger one does not."""
    inbox = await client.subscribe("large")
    await client.publish("large", b"x" * client.max_payload)
    message = await inbox.next_msg(timeout=5)
    try:
        await client.publish("large", b"x" * (client.max_payload + 1))
    except nats.errors.MaxPayloadError:
        return len(message.data) == client.max_payload
    return False


async def strangers(nats_port, redis_port):
    """Whoever does not check certificates, or does not know who signs them."""
    knows_nobody = redis.asyncio.Redis(host="localhost", port=redis_port, ssl=True)
    try:
        await knows_nobody.ping()
        sys.exit("a certificate of nobody's was taken")
    except redis.ConnectionError as error:
        same("why", True, "certificate" in str(error).lower())
    await knows_nobody.aclose()

    async def ignore(_error):
        pass

    for tls in (None, ssl.create_default_context()):
        try:
            await nats.connect(f"nats://localhost:{nats_port}", tls=tls, error_cb=ignore,
                               allow_reconnect=False, connect_timeout=5)
            sys.exit("a certificate of nobody's was taken")
        except (OSError, asyncio.TimeoutError, nats.errors.Error):
            pass


def sealed(**to):
    """A password is not enough where a certificate is asked for."""
    client = redis.Redis(password="secret", **to)
    refused("no certificate", redis.ConnectionError, client.ping)
    client.close()


redis_port, nats_port, guarded_port, secure_port, secure_nats, sealed_port = map(
    int, sys.argv[1:7])
folder = sys.argv[7]
checked = {"host": "localhost", "ssl": True, "ssl_ca_certs": f"{folder}/ca.pem"}
shown = {"ssl_certfile": f"{folder}/client.pem", "ssl_keyfile": f"{folder}/client.key"}
for to, to_guarded in (
    ({"port": redis_port}, {"port": guarded_port}),
    ({"port": secure_port, **checked}, {"port": sealed_port, **checked, **shown}),
):
    for version in (2, 3):
        bus(version, **to)
        cut_and_back(version, **to)
        guarded(version, **to_guarded)
        asyncio.run(bus_async(version, **to))
    asyncio.run(guarded_async(**to_guarded))
sealed(port=sealed_port, **checked)
asyncio.run(subjects(nats_port))
asyncio.run(subjects(secure_nats, ssl.create_default_context(cafile=f"{folder}/ca.pem")))
asyncio.run(strangers(secure_nats, secure_port))
