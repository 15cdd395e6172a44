"""Peers that break the rules of `lab serve`: each gets an error or a close, and
everybody else goes on. Usage: REDIS_PORT NATS_PORT GUARDED_PORT SERVER_PID; the
guarded bus gives a command one second (`--partial-timeout 1s`)."""

import os
import socket
import sys
import time

redis_port, nats_port, guarded_port, server = map(int, sys.argv[1:5])


def same(what, expected, got):
    if expected != got:
        sys.exit(f"{what}: expected {expected!r}, got {got!r}")


def connect(port):
    peer = socket.create_connection(("127.0.0.1", port), timeout=20)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def rest(peer):
    """All until the end, which must come."""
    got = b""
    try:
        while piece := peer.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def exactly(peer, length):
    got = b""
    while len(got) < length:
        piece = peer.recv(length - len(got))
        if not piece:
            sys.exit(f"it ended after {got!r}")
        got += piece
    return got


def resident():
    with open(f"/proc/{server}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ends_with(what, port, bytes_, expected):
    peer = connect(port)
    try:
        peer.sendall(bytes_)
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = rest(peer)
    if not got.endswith(expected):
        sys.exit(f"{what}: expected ...{expected!r}, got {got!r}")


info = connect(nats_port).recv(65536)
same("INFO", True, info.startswith(b"INFO {"))

# Malformed and oversized.
for what, bytes_, error in [
    ("a count", b"*a\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    ("a mark", b"*1\r\n:1\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
    ("a length", b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    ("a huge length", b"*1\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    ("a huge count", b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    ("quotes", b"ping 'a\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ("a line", b"x" * 70000, b"-ERR Protocol error: too big inline request\r\n"),
    ("a count's line", b"*" + b"1" * 70000, b"-ERR Protocol error: too big mbulk count string\r\n"),
]:
    ends_with(what, redis_port, bytes_, error)
for what, bytes_, error in [
    ("a verb", b"NOTHING\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
    ("a line", b"PUB " + b"x" * 70000, b"-ERR 'maximum control line exceeded'\r\n"),
    ("a payload", b"PUB a 99999999\r\n", b"-ERR 'Maximum Payload Violation'\r\n"),
]:
    ends_with(what, nats_port, bytes_, error)

# What is announced takes no memory, only what comes.
before = resident()
idle = []
for _ in range(200):
    peer = connect(redis_port)
    peer.sendall(b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$536870912\r\nx")
    idle.append(peer)
witness = connect(redis_port)
witness.sendall(b"PING\r\n")
same("PONG", b"+PONG\r\n", exactly(witness, 7))
grown = resident() - before
if grown > 64 << 20:
    sys.exit(f"200 announcements of 512 MiB took {grown} bytes")
for peer in idle:
    peer.close()

# A slow loris: one byte now and then does not keep a connection on the guarded bus.
loris = connect(guarded_port)
started = time.monotonic()
try:
    while time.monotonic() - started < 20:
        loris.sendall(b"*")
        time.sleep(0.05)
    sys.exit("a slow loris was kept for 20 s")
except (BrokenPipeError, ConnectionResetError):
    pass
# One that takes its time between commands is kept.
patient = connect(guarded_port)
for _ in range(3):
    patient.sendall(b"AUTH secret\r\n")
    same("OK", b"+OK\r\n", exactly(patient, 5))
    time.sleep(0.6)

# Half-closed: the answers still come.
half = connect(redis_port)
half.sendall(b"PING\r\nECHO last\r\n")
half.shutdown(socket.SHUT_WR)
same("half-closed", b"+PONG\r\n$4\r\nlast\r\n", rest(half))

# Byte by byte, and a thousand at once.
slow = connect(redis_port)
for byte in b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n":
    slow.sendall(bytes([byte]))
same("bytes", b"$3\r\nabc\r\n", exactly(slow, 9))
fast = connect(redis_port)
fast.sendall(b"PING\r\n" * 1000)
same("pipeline", b"+PONG\r\n" * 1000, exactly(fast, 7000))

# Gone in the middle of everything.
for cut in range(1, 30):
    peer = connect(redis_port)
    peer.sendall(b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$5\r\nhello\r\n"[:cut])
    peer.close()
witness.sendall(b"PING\r\n")
same("PONG", b"+PONG\r\n", exactly(witness, 7))
