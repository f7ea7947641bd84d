"""Slow clients, large heads, and more connections than there are descriptors."""
import os
import pathlib
import resource
import select
import socket
import time

import pytest

from lib.gateway import admin_get, simple_resources
from lib.http2 import HEADERS, PREFACE, block, frame, pseudo, settings
from lib.process import wait_until
from lib.wire import Client, GoodClient, Strict, ask, get


@pytest.fixture(scope="module")
def upstream(module_stopping):
    server = Strict()
    module_stopping.append(server)
    return server


@pytest.fixture(scope="module")
def port(upstream, shared_proxy):
    return shared_proxy(upstream.port)[1]


# ---- sizes ----

def fields(count, size=1):
    return b"".join(b"x-%d: %s\r\n" % (i, b"v" * size) for i in range(count))


BIG = {
    "80_fields": (fields(80), 200), "101_fields": (fields(101), 431), "200_fields": (fields(200), 431), "1000_fields": (fields(1000), 431),
    "20000_fields": (fields(20000), 431), "16_kb": (fields(1, 16384), 200), "50_kb": (fields(50, 1000), 200), "64_kb": (fields(1, 65536), 431),
    "1_mb": (fields(1, 1 << 20), 431), "50_empty_names": (b": x\r\n" * 50, 400), "name_of_64_kb": (b"x" * 65536 + b": y\r\n", 431),
    "10000_connection_options": (b"connection: " + b"x," * 10000 + b"\r\n", 400),
}


@pytest.mark.parametrize("name", BIG)
def test_large_heads(name, port):
    headers, status = BIG[name]
    assert get(port, "/big", headers).status == status
    assert get(port, "/control").body == b"/control"


@pytest.mark.parametrize("size,status", [(8000, 200), (8193, 414), (16384, 414), (100000, 414), (1 << 20, 414)])
def test_long_targets(size, status, port):
    for target in ("/" + "p" * (size - 1), "/?" + "q" * (size - 2)):
        assert get(port, target).status == status


def test_a_method_of_any_length_ends(port):
    assert ask(port, b"M" * 100000 + b" / HTTP/1.1\r\nhost: a\r\n\r\n").status in (400, 414, 501)


def test_heads_are_not_kept(upstream, make_proxy):
    """300 connections, each with half a head of 50 KB: what waits is what was sent, and goes with the connection."""
    proxy, port = make_proxy(upstream.port)
    before, clients = proxy.process.rss_kb(), []
    try:
        for _ in range(300):
            clients.append(Client(port))
            clients[-1].send(b"GET / HTTP/1.1\r\nhost: a\r\n" + fields(50, 1000))
        assert get(port, "/good").status == 200
        assert proxy.process.rss_kb() - before < 300 * 128
    finally:
        for client in clients:
            client.sock.close()
    assert get(port, "/good").status == 200


# ---- slowness: one wait for all ----

STARTS = {
    "silent": (b"G", b""),
    "head": (b"GET / HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n"),
    "head_byte_by_byte": (b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"y"),
    "target": (b"GET /", b"a"),
    "half_preface": (PREFACE[:5], b""),
    "preface_without_settings": (PREFACE, b""),
    "half_settings": (PREFACE + settings(window=65535)[:4], b""),
    "half_header_block": (PREFACE + settings() + frame(HEADERS, 0, 1, block(*pseudo())), b""),
    "dripping_continuations": (PREFACE + settings() + frame(HEADERS, 0, 1, block(*pseudo())), frame(9, 0, 1, block((b"x", b"y")))),
    "half_frame": (PREFACE + settings() + frame(HEADERS, 4, 1, block(*pseudo()))[:12], b""),
}


def test_deadlines_are_absolute(upstream, make_proxy):
    """Prefaces and heads end 10 s after their first byte, however they drip; hundreds of them disturb nobody."""
    _, port = make_proxy(upstream.port)
    slow, now = [], time.monotonic
    started = now()
    with GoodClient(port) as good:
        for name, (start, drip) in STARTS.items():
            for _ in range(20):
                sock = socket.create_connection(("127.0.0.1", port))
                sock.sendall(start)
                sock.setblocking(False)
                slow.append((name, sock, drip))
        last_drip, ended = now(), {}
        while len(ended) < len(slow) and now() - started < 25:
            open_now = {sock: name for name, sock, _ in slow if sock not in ended}
            readable, _, _ = select.select(list(open_now), [], [], 0.2)
            for sock in readable:
                try:
                    piece = sock.recv(65536)
                except OSError:
                    piece = b""
                if not piece or piece.startswith(b"HTTP/1.1 408"):
                    ended[sock] = open_now[sock]
            if now() - last_drip > 0.5:
                last_drip = now()
                for name, sock, drip in slow:
                    if drip and sock not in ended:
                        try:
                            sock.send(drip)
                        except OSError:
                            ended[sock] = name
    for _, sock, _ in slow:
        sock.close()
    left = {name for name, sock, _ in slow if sock not in ended}
    assert not left, f"still open after 25 s: {left}"
    assert not good.faults and good.slowest < 5


# ---- descriptors ----

def cpu_seconds(pid):
    numbers = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def test_descriptors_run_out(upstream, make_proxy):
    """256 descriptors, 500 connections: admin answers, nothing spins, and when they go all is as before."""
    proxy, port = make_proxy(upstream.port)
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (256, 256))
    applied = proxy.process.output().count("snapshot applied")
    proxy.reload(simple_resources(port, upstream.port))  # the bound on connections is made from the limit
    wait_until("the new limit", lambda: proxy.process.output().count("snapshot applied") > applied)
    used, clients = cpu_seconds(proxy.pid), []
    try:
        for _ in range(500):
            clients.append(Client(port))
        for number in range(50):
            assert admin_get(proxy.admin_port, "/readyz")[0] == 200
            assert number or admin_get(proxy.admin_port, "/metrics")[0] == 200
        assert len(os.listdir(f"/proc/{proxy.pid}/fd")) <= 256
        assert cpu_seconds(proxy.pid) - used < 2.0
    finally:
        for client in clients:
            client.sock.close()

    def is_well():
        try:
            answer = get(port, "/again")
            return answer is not None and answer.status == 200
        except OSError:
            return False

    wait_until("recovery", is_well, timeout=10)
