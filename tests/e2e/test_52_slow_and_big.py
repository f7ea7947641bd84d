"""Slow clients, large heads, and more connections than there are descriptors."""
import os
import pathlib
import resource
import socket
import threading
import time

import pytest

from lib.gateway import admin_get, make_certificate, simple_resources
from lib.http2 import HEADERS, PREFACE, Http2, block, frame, pseudo, request, rst, settings, window_update
from lib.process import free_port, wait_until
from lib.upstream import Echo
from lib.wire import Client, GoodClient, ask, get


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


# ---- slowness ----

TIMES = {"handshakeTimeoutMs": 1000, "headTimeoutMs": 1000, "requestTimeoutMs": 1500, "idleTimeoutMs": 1000, "streamIdleTimeoutMs": 1000}
ENDED = 20.0  # seconds for all of them on a busy machine; by their own clocks it is three
OPEN_POST = frame(HEADERS, 4, 1, block(*pseudo(b"/", method=b"POST")))
STARTS = {  # what is sent at once, and then again and again
    "silent": (b"", b""),
    "one_byte": (b"G", b""),
    "head": (b"GET / HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n"),
    "head_byte_by_byte": (b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"y"),
    "target": (b"GET /", b"a"),
    "sized_body": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n", b"x"),
    "chunked_body": (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk_extension": (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;", b"x"),
    "body_that_stops": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc", b""),
    "body_never_begun": (b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n", b""),
    "idle": (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b""),
    "untaken_answer": (b"GET /bytes/20000000 HTTP/1.1\r\nhost: a\r\n\r\n", b""),
    "half_preface": (PREFACE[:5], b""),
    "preface_without_settings": (PREFACE, b""),
    "half_settings": (PREFACE + settings(window=65535)[:4], b""),
    "idle_http2": (PREFACE + settings(), b""),
    "half_header_block": (PREFACE + settings() + frame(HEADERS, 0, 1, block(*pseudo())), b""),
    "dripping_continuations": (PREFACE + settings() + frame(HEADERS, 0, 1, block(*pseudo())), frame(9, 0, 1, block((b"x", b"y")))),
    "half_frame": (PREFACE + settings() + frame(HEADERS, 4, 1, block(*pseudo()))[:12], b""),
    "dripping_data": (PREFACE + settings() + OPEN_POST, frame(0, 0, 1, b"x")),
    "closed_window": (PREFACE + settings(window=0) + request(1, pseudo(b"/bytes/20000000")), b""),
    "untaken_http2_answer": (PREFACE + settings(window=(1 << 31) - 1) + window_update(0, (1 << 31) - 1 - 65535)
                             + request(1, pseudo(b"/bytes/20000000")), b""),
}
NEVER_READ = {"untaken_answer", "untaken_http2_answer"}
TLS_STARTS = {"tls_silent": (b"", b""), "tls_hello_byte_by_byte": (b"\x16\x03\x01\x02\x00", b"\x01")}


class Slow:
    """Connections that send as little as they can, for as long as they are let."""

    def __init__(self):
        self.socks, self.drips, self.names, self.begun, self.ages = [], {}, {}, {}, {}

    def add(self, port, name, start, drip):
        sock, begun = socket.socket(), time.monotonic()
        if name in NEVER_READ:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(start)
        sock.setblocking(False)
        self.socks.append(sock)
        self.drips[sock], self.names[sock], self.begun[sock] = drip, name, begun

    def turn(self):
        """Drips, and forgets those that were ended."""
        for sock in list(self.drips):
            name, drip = self.names[sock], self.drips[sock]
            try:
                if name not in NEVER_READ and sock.recv(65536) == b"":
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                self.end(sock)
                continue
            try:
                if drip:
                    sock.send(drip)
            except BlockingIOError:
                pass
            except OSError:
                self.end(sock)

    def end(self, sock):
        del self.drips[sock]
        name, age = self.names[sock], time.monotonic() - self.begun[sock]
        self.ages[name] = min(age, self.ages.get(name, age))

    def left(self):
        """Those that a reader would have seen end, and did not."""
        return {self.names[sock] for sock in self.drips} - NEVER_READ

    def stop(self):
        for sock in self.socks:
            sock.close()


def percentile(good, share):
    times = sorted(good.times)
    return times[int(len(times) * share)]


@pytest.fixture(scope="module")
def quick(tmp_path_factory, shared_proxy, module_stopping):
    """A proxy with short times on a plain and on a TLS port, before an upstream with large answers; on a third port it has patience."""
    echo = Echo()
    module_stopping.append(echo)
    tls_port, good_port = free_port(), free_port()
    pair = make_certificate(tmp_path_factory.mktemp("tls"), "a.test")

    def change(resources):
        listener = next(r for r in resources if r["kind"] == "listener")
        patient = {"kind": "listener", "name": f"*:{good_port}", "spec": {**listener["spec"], "port": good_port}}
        listener["spec"]["client"] = TIMES
        route = next(r for r in resources if r["kind"] == "route")
        route["spec"]["attachments"].append({"listener": f"*:{good_port}", "server": "d/g/l"})
        resources.append(patient)
        resources.append({"kind": "certificate", "name": "d/tls", "spec": {"certPem": pair[0], "keyPem": pair[1]}})
        resources.append({"kind": "listener", "name": f"*:{tls_port}", "spec": {
            "port": tls_port, "protocol": "https", "client": TIMES, "servers": [{"name": "d/g/tls", "certificates": ["d/tls"]}]}})
    proxy, port = shared_proxy(echo.port, change=change)
    proxy.port, proxy.tls_port, proxy.good_port = port, tls_port, good_port
    return proxy


def test_hundreds_of_slow_clients_and_a_flood_harm_nobody(quick, record_property):
    """600 slow connections of all kinds, whose deadlines no drip moves, while streams are opened and reset without end: every
    good request is answered, and soon; then all of them are gone."""
    slow, stop, floods = Slow(), threading.Event(), [0]

    def flood():
        while not stop.is_set():
            with Http2(quick.port) as attacker:
                for first in range(1, 4001, 200):
                    if stop.is_set() or not attacker.send(b"".join(request(s, pseudo()) + rst(s) for s in range(first, first + 200, 2))):
                        break
            floods[0] += 1

    thread = threading.Thread(target=flood, daemon=True)
    try:
        with GoodClient(quick.good_port) as good, GoodClient(quick.good_port) as other:
            thread.start()
            for number in range(600):
                name = list(STARTS)[number % len(STARTS)]
                slow.add(quick.port, name, *STARTS[name])
            for _ in range(20):
                for name, parts in TLS_STARTS.items():
                    slow.add(quick.tls_port, name, *parts)
            until = time.monotonic() + ENDED
            while slow.turn() or slow.left():
                assert time.monotonic() < until, f"still open after {ENDED} s: {slow.left()}"
                time.sleep(0.05)  # the pace of the drips
            wait_until("floods to be cut off", lambda: floods[0] >= 2, timeout=ENDED)
            stop.set()
            thread.join(30)
            wait_until("room again", lambda: quick.metric("selvedge_downstream_connections") <= 2, timeout=ENDED)
    finally:
        stop.set()
        slow.stop()
    assert not good.faults and not other.faults
    assert min(slow.ages.values()) > 0.9, f"ended before its time: {min(slow.ages, key=slow.ages.get)}"
    record_property("figures", f"{good.num + other.num} good requests, p99 {percentile(good, .99) * 1000:.0f} ms, slowest "
                               f"{max(good.slowest, other.slowest) * 1000:.0f} ms, {floods[0]} floods")
    assert percentile(good, .99) < 5.0 and percentile(other, .99) < 5.0  # milliseconds, but for a busy machine
    assert quick.process.is_running()


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
