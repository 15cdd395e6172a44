"""Sessions of redis-py and nats-py with `lab serve`. Usage: REDIS_PORT NATS_PORT"""

import asyncio
import sys

import nats
import redis
import redis.asyncio


def same(what, expected, got):
    if expected != got:
        sys.exit(f"{what}: expected {expected!r}, got {got!r}")


def next_message(pubsub):
    for _ in range(50):
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message:
            return message
    sys.exit("no message came")


def bus(port, protocol):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    pubsub = client.pubsub()
    pubsub.subscribe("news.a")
    pubsub.psubscribe("news.*")
    for _ in range(2):
        while pubsub.get_message(timeout=0.1):
            pass
    same("receivers", 2, client.publish("news.a", "text"))
    kinds = sorted(next_message(pubsub)["type"] for _ in range(2))
    same("kinds", ["message", "pmessage"], kinds)
    same("numsub", [("news.a", 1)], client.pubsub_numsub("news.a"))
    with client.pipeline(transaction=True) as pipe:
        pipe.publish("news.b", "1").publish("nobody", "2")
        same("transaction", [1, 0], pipe.execute())
    pubsub.close()
    client.close()


async def bus_async(port):
    client = redis.asyncio.Redis(port=port, decode_responses=True)
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("async")
        await client.publish("async", "text")
        for _ in range(50):
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message:
                break
        same("async", "text", message["data"])
    await client.aclose()


async def subjects(port):
    client = await nats.connect(f"nats://127.0.0.1:{port}")
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
    await client.drain()


redis_port, nats_port = map(int, sys.argv[1:3])
bus(redis_port, 2)
bus(redis_port, 3)
asyncio.run(bus_async(redis_port))
asyncio.run(subjects(nats_port))
