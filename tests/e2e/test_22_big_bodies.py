"""Bodies far larger than memory may grow, with a peer that stops taking or giving; and very many idle connections."""
import os
import pathlib
import random
import resource
import socket
import ssl
import subprocess
import threading

import h2.connection
import pytest

from lib.gateway import Proxy, make_certificate, simple_resources
from lib.process import free_port, wait_until
from lib.upstream import Raw

SIZE = (2048 if os.environ.get("SELVEDGE_LONG") else 256) << 20
GROWTH_KB = 2048
IDLE = 20000

PATTERN = random.Random(7).randbytes(1_000_003)  # of a length that no buffer has: what is lost or twice there shows
DOUBLE = PATTERN + PATTERN


class Checker:
    """Takes the pattern piece by piece."""

    def __init__(self):
        self.total = 0

    def take(self, data):
        while data:
            at = self.total % len(PATTERN)
            piece = data[:len(PATTERN)]
            assert DOUBLE[at:at + len(piece)] == piece, f"wrong bytes after {self.total}"
            self.total += len(piece)
            data = data[len(piece):]


def pieces(size, start=0):
    """The pattern up to `size`."""
    while start < size:
        at = start % len(PATTERN)
        piece = DOUBLE[at:at + min(262144, size - start)]
        yield piece
        start += len(piece)


class Bulk(Raw):
    """GET gives SIZE bytes, anything else takes a chunked body; both wait at `pause_at` until `gate` is set."""

    def __init__(self, pause_at=None):
        self.gate, self.pause_at = threading.Event(), pause_at
        self.sent, self.checker = 0, Checker()
        self.is_broken = ""
        super().__init__(self.talk)

    def talk(self, sock, record):
        sock.settimeout(300)
        try:
            start = 0
            while (end := Raw.read_head(sock, record, start)) is not None:
                head, rest = bytes(record[start:end]), bytes(record[end:])
                del record[:]
                if head.startswith(b"GET /small"):
                    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                elif head.startswith(b"GET "):
                    self.give(sock)
                else:
                    self.take(sock, rest)
        except AssertionError as error:
            self.is_broken = str(error)

    def wait_at_gate(self, total):
        if self.pause_at is not None and total >= self.pause_at:
            assert self.gate.wait(300)

    def give(self, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
        for piece in pieces(SIZE):
            self.wait_at_gate(self.sent)
            sock.sendall(piece)
            self.sent += len(piece)

    def take(self, sock, rest):
        source = sock.makefile("rb", 1 << 20)
        buffered = Prefixed(rest, source)
        while (size := int(buffered.readline(), 16)) > 0:
            while size > 0:
                self.wait_at_gate(self.checker.total)
                piece = buffered.read(min(size, 1 << 18))
                assert piece, "the body ended early"
                self.checker.take(piece)
                size -= len(piece)
            buffered.readline()
        buffered.readline()
        body = b"%d" % self.checker.total
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


class Prefixed:
    """A file with some bytes in front of it."""

    def __init__(self, rest, source):
        self.rest, self.source = rest, source

    def read(self, count):
        if self.rest:
            piece, self.rest = self.rest[:count], self.rest[count:]
            return piece
        return self.source.read1(count)

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            byte = self.read(1)
            assert byte, "the body ended early"
            line += byte
        return line


def peak_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def reset_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def stands_still(counter, times=15):
    """A check for wait_until(): the counter is not zero and has been the same for that many looks."""
    seen = []

    def check():
        seen.append(counter())
        return len(seen) > times and seen[-1] > 0 and len(set(seen[-times:])) == 1
    return check


@pytest.fixture
def path_through(tmp_path, stopping):
    """path_through(upstream, how): (port, proxies). how "h2c": two proxies, HTTP/2 between them."""
    def make(upstream, how):
        proxies, target, cluster = [], upstream.port, {}
        for number in range(2 if how == "h2c" else 1):
            folder = tmp_path / f"proxy-{number}"
            folder.mkdir()
            port = free_port()
            proxies.append(Proxy(folder, simple_resources(port, target, cluster=cluster)))
            stopping.append(proxies[-1])
            target, cluster = port, {"protocol": "h2c"}
        subprocess.run(["curl", "-sS", f"http://127.0.0.1:{target}/small"], check=True, capture_output=True)
        for proxy in proxies:
            reset_peak(proxy.pid)
        return target, proxies
    return make


def check_growth(proxies, before, record_property, what):
    growth = [peak_kb(proxy.pid) - start for proxy, start in zip(proxies, before)]
    record_property("figures", f"{what}, {SIZE >> 20} MiB: resident memory grew by at most {max(growth)} kB")
    assert max(growth) < GROWTH_KB


VERSIONS = {"h1": ["--http1.1"], "h2": ["--http2-prior-knowledge"]}
PATHS = [(version, how) for version in VERSIONS for how in ("h1", "h2c")]


@pytest.mark.parametrize("version,how", PATHS)
@pytest.mark.parametrize("slow", ["client", "upstream"])
def test_download(path_through, stopping, record_property, version, how, slow):
    upstream = Bulk(pause_at=SIZE // 4 if slow == "upstream" else None)
    stopping.append(upstream)
    port, proxies = path_through(upstream, how)
    before = [proxy.process.rss_kb() for proxy in proxies]
    client = subprocess.Popen(["curl", "-sSN", *VERSIONS[version], f"http://127.0.0.1:{port}/big"], stdout=subprocess.PIPE)
    checker = Checker()
    if slow == "upstream":
        while checker.total < SIZE // 4:
            checker.take(client.stdout.read1(1 << 18))
        upstream.gate.set()
    else:
        wait_until("everything to stand still", stands_still(lambda: upstream.sent))
        assert upstream.sent < SIZE // 2
    while piece := client.stdout.read1(1 << 18):
        checker.take(piece)
    assert client.wait(60) == 0 and checker.total == SIZE and not upstream.is_broken
    check_growth(proxies, before, record_property, f"download, {version} client, {how} upstream, slow {slow}")


@pytest.mark.parametrize("version,how", PATHS)
@pytest.mark.parametrize("slow", ["client", "upstream"])
def test_upload(path_through, stopping, record_property, version, how, slow):
    upstream = Bulk(pause_at=SIZE // 4 if slow == "upstream" else None)
    stopping.append(upstream)
    port, proxies = path_through(upstream, how)
    before = [proxy.process.rss_kb() for proxy in proxies]
    client = subprocess.Popen(["curl", "-sSN", *VERSIONS[version], "-H", "expect:", "-T", "-", f"http://127.0.0.1:{port}/big"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    written = 0

    def write(until):
        nonlocal written
        for piece in pieces(until, written):
            client.stdin.write(piece)
            written += len(piece)

    if slow == "client":
        write(SIZE // 4)
        client.stdin.flush()
        wait_until("the upstream to have it all", lambda: upstream.checker.total == SIZE // 4)
        write(SIZE)
        client.stdin.close()
    else:
        writer = threading.Thread(target=lambda: (write(SIZE), client.stdin.close()), daemon=True)
        writer.start()
        wait_until("everything to stand still", stands_still(lambda: written if upstream.checker.total >= SIZE // 4 else 0))
        assert written < SIZE // 2
        upstream.gate.set()
        writer.join(300)
    assert client.stdout.read() == b"%d" % SIZE and client.wait(60) == 0 and not upstream.is_broken
    check_growth(proxies, before, record_property, f"upload, {version} client, {how} upstream, slow {slow}")


def test_many_streams_that_nobody_reads(path_through, stopping, record_property):
    """A hundred downloads on one HTTP/2 connection whose windows are never opened again."""
    upstream = Bulk()
    stopping.append(upstream)
    port, proxies = path_through(upstream, "h1")
    proxy = proxies[0]
    before = proxy.process.rss_kb()
    client = h2.connection.H2Connection()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        client.initiate_connection()
        client.increment_flow_control_window((1 << 31) - 65536)
        for _ in range(100):
            stream = client.get_next_available_stream_id()
            client.send_headers(stream, [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/big")], end_stream=True)
        sock.sendall(client.data_to_send())
        wait_until("everything to stand still", stands_still(lambda: upstream.sent))
        growth = peak_kb(proxy.pid) - before
    record_property("figures", f"100 stalled HTTP/2 downloads: {growth / 100:.0f} kB a stream")
    assert growth / 100 < 400
    wait_until("them to be gone", lambda: proxy.metric("selvedge_requests_active") == 0)


# ---- idle connections ----

def descriptors():
    """How many sockets one process may hold here, having asked for enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = IDLE + 2000
    for limit in ((want, max(want, hard)), (min(want, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return limit[0]
        except (ValueError, OSError):
            continue
    return soft


def connect(port, number):
    """Towards several addresses of this machine: so they share local ports, and leave those of other tests alone."""
    return socket.create_connection((f"127.0.0.{2 + number % 8}", port), timeout=30)


def h1_ask(sock):
    sock.sendall(b"GET / HTTP/1.1\r\nhost: x.test\r\n\r\n")
    assert sock.recv(4096).startswith(b"HTTP/1.1 302 ")


def h1_connection(port, number):
    sock = connect(port, number)
    h1_ask(sock)
    return sock


H2_HELLO = h2.connection.H2Connection()
H2_HELLO.initiate_connection()
H2_HELLO.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")], end_stream=True)
H2_BYTES = H2_HELLO.data_to_send()


def h2_connection(port, number):
    sock = connect(port, number)
    sock.sendall(H2_BYTES)
    frames = sock.makefile("rb")
    head = frames.read(9)
    while not (head[4] & 1 and int.from_bytes(head[5:9], "big") == 1):  # the end of the answer's stream
        frames.read(int.from_bytes(head[:3], "big"))
        head = frames.read(9)
    return sock


def tls_connection(port, number):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = context.wrap_socket(connect(port, number), server_hostname="x.test")
    h1_ask(sock)
    return sock


@pytest.mark.parametrize("kind,count,most", [("h1", IDLE, 4096), ("h2", 2000, 32768), ("tls", 1000, 32768)])
def test_idle_connections(tmp_path, stopping, record_property, kind, count, most):
    limit = descriptors()
    if limit < count + 600:
        count = limit - 1000
    if count < 1000:
        pytest.skip(f"only {limit} descriptors a process here")
    port = free_port()
    rules = [{"matches": [{}], "filters": {"redirect": {"hostname": "y.test"}}}]
    resources = simple_resources(port, 1, rules=rules, settings={"maxConnections": count + 10},
                                 certificate=make_certificate(tmp_path, "x.test") if kind == "tls" else None)
    proxy = Proxy(tmp_path, resources)
    stopping.append(proxy)
    open_one = {"h1": h1_connection, "h2": h2_connection, "tls": tls_connection}[kind]
    open_one(port, 0).close()
    before = proxy.process.rss_kb()
    sockets = []
    try:
        for number in range(count):
            sockets.append(open_one(port, number))
        assert proxy.metric("selvedge_downstream_connections") == count
        each = (proxy.process.rss_kb() - before) * 1024 / count
        record_property("figures", f"{count} idle {kind} connections: {each:.0f} bytes each")
        assert each < most
        if kind == "h1":
            for sock in random.Random(3).sample(sockets, 200):
                h1_ask(sock)
    finally:
        for sock in sockets:
            sock.close()
    wait_until("them to be closed", lambda: proxy.metric("selvedge_downstream_connections") == 0)
