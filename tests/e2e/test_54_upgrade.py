"""Upgrades, expectations and other ways to make two sides disagree about what a connection carries."""
import json

import pytest

from lib.http2 import DATA, END_STREAM, HEADERS, Http2, frame, pseudo, request
from lib.upstream import Echo, Raw
from lib.wire import Client, Strict, ask, get

KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
# Read as a request it is forwarded in its normal form; in these very bytes it can only pass through a tunnel.
SMUGGLED = b"GET //x/../smuggled HTTP/1.1\r\nhost: a.test\r\n\r\n"


def handshake(*lines, method=b"GET", version=b"1.1", target=b"/ws"):
    return b"%s %s HTTP/%s\r\nhost: a.test\r\n" % (method, target, version) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


GOOD = [b"connection: Upgrade", b"upgrade: websocket", b"sec-websocket-version: 13", KEY]


def but(index, *lines):
    return GOOD[:index] + list(lines) + GOOD[index + 1:]


# Not a handshake of RFC 6455: whatever the upstream says, no tunnel comes about.
NO_HANDSHAKE = {
    "version_missing": handshake(*but(2)),
    "version_12": handshake(*but(2, b"sec-websocket-version: 12")),
    "version_777": handshake(*but(2, b"sec-websocket-version: 777")),
    "version_list": handshake(*but(2, b"sec-websocket-version: 13, 8")),
    "version_twice": handshake(*GOOD, b"sec-websocket-version: 8"),
    "key_missing": handshake(*but(3)),
    "key_short": handshake(*but(3, b"sec-websocket-key: abc=")),
    "key_twice": handshake(*GOOD, KEY),
    "no_connection": handshake(*but(0)),
    "connection_other": handshake(*but(0, b"connection: keep-alive")),
    "no_upgrade": handshake(*but(1)),
    "h2c": handshake(b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "h2c_and_prior": handshake(b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: "),
    "h2": handshake(b"connection: Upgrade", b"upgrade: h2"),
    "tls": handshake(b"connection: Upgrade", b"upgrade: TLS/1.0"),
    "connect_udp": handshake(b"connection: Upgrade", b"upgrade: connect-udp"),
    "unknown": handshake(b"connection: Upgrade", b"upgrade: smuggle/1.0"),
    "websocketx": handshake(*but(1, b"upgrade: websocketx")),
    "post": handshake(*GOOD, b"content-length: 0", method=b"POST"),
    "http10": handshake(*GOOD, version=b"1.0"),
}


class Answering(Raw):
    """Answers every head with `answer`, and records whatever comes."""

    def __init__(self):
        self.answer = b""
        super().__init__(self.script)

    def script(self, sock, record):
        start = 0
        while (end := self.read_head(sock, record, start)) is not None:
            start = end
            sock.sendall(self.answer)


@pytest.fixture(scope="module")
def answering(module_stopping):
    server = Answering()
    module_stopping.append(server)
    return server


@pytest.fixture(scope="module")
def port(answering, shared_proxy):
    return shared_proxy(answering.port)[1]


def switching(*lines):
    return b"HTTP/1.1 101 Switching Protocols\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def check_no_tunnel(answering):
    assert SMUGGLED[:19] not in answering.all_bytes()


@pytest.mark.parametrize("name", NO_HANDSHAKE)
def test_what_is_no_handshake_makes_no_tunnel(name, port, answering):
    """The upstream says 101 to anything: it was not asked for, so it is a broken answer."""
    answering.received.clear()
    answering.answer = switching(b"connection: upgrade", b"upgrade: websocket", ACCEPT)
    with Client(port) as client:
        client.send(NO_HANDSHAKE[name])
        answer = client.answer()
        assert answer.status == 502
    asked = answering.all_bytes().lower()
    assert asked and b"\r\nupgrade:" not in asked and b"http2-settings" not in asked
    check_no_tunnel(answering)


BAD_SWITCH = {
    "accept_missing": switching(b"connection: upgrade", b"upgrade: websocket"),
    "accept_wrong": switching(b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "upgrade_missing": switching(b"connection: upgrade", ACCEPT),
    "connection_missing": switching(b"upgrade: websocket", ACCEPT),
    "upgrade_other": switching(b"connection: upgrade", b"upgrade: h2c", ACCEPT),
}


@pytest.mark.parametrize("name", BAD_SWITCH)
def test_a_switch_that_is_none_is_refused(name, port, answering):
    answering.received.clear()
    answering.answer = BAD_SWITCH[name]
    with Client(port) as client:
        client.send(handshake(*GOOD))
        assert client.answer().status == 502
        client.send(SMUGGLED)
    check_no_tunnel(answering)


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"400 Bad Request", b"403 Forbidden", b"426 Upgrade Required", b"503 Busy"])
def test_after_another_answer_there_is_no_tunnel(status, answering, port):
    """The smuggler's 101 that never was: bytes behind the handshake are a request of its own, routed as such."""
    answering.received.clear()
    body = b"" if status.startswith(b"204") else b"content-length: 2\r\n"
    answering.answer = b"HTTP/1.1 " + status + b"\r\n" + body + b"\r\n" + (b"no" if body else b"")
    with Client(port) as client:
        client.send(handshake(*GOOD))
        answer = client.answer()
        assert answer.status == int(status[:3])
        answering.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown"
        client.send(SMUGGLED)
        own = client.answer()
        assert own is None or own.status in (200, 502)
    check_no_tunnel(answering)


def test_bytes_sent_ahead_wait_for_the_answer(answering, port):
    answering.received.clear()
    answering.answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    with Client(port) as client:
        client.send(handshake(*GOOD) + b"\x81\x85\x00\x00\x00\x00hello" + SMUGGLED)
        assert client.answer().status == 403
    assert b"hello" not in answering.all_bytes()


def test_a_real_handshake_makes_a_tunnel(port, answering):
    answering.received.clear()
    answering.answer = switching(b"connection: upgrade", b"upgrade: websocket", ACCEPT) + b"\x81\x02hi"
    with Client(port) as client:
        client.send(handshake(*GOOD))
        assert client.answer().status == 101
        assert client.take(4) == b"\x81\x02hi"


def test_websocket_over_http2_needs_its_own_rules(port, answering):
    """RFC 8441 in a head that lacks what it needs, or with another protocol: no tunnel."""
    answering.answer = switching(b"connection: upgrade", b"upgrade: websocket", ACCEPT)
    base = [(b":method", b"CONNECT"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/ws")]
    for extra in ([(b":protocol", b"h2c")], [(b":protocol", b"connect-udp")], [(b":protocol", b"websocket"), (b":protocol", b"websocket")], []):
        answering.received.clear()
        with Http2(port) as client:
            client.until(lambda: (HEADERS or True) and client.frames, "SETTINGS")
            client.send(request(1, base + extra, end=False) + frame(0, END_STREAM, 1, SMUGGLED))
            client.until(lambda: 1 in client.ended or 1 in client.resets or client.goaway is not None)
            assert client.status(1) is None or client.status(1) >= 400
        check_no_tunnel(answering)


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"403 Forbidden"])
def test_an_answer_that_declines_never_opens_a_websocket_over_http2(status, port, answering):
    """There any 2xx would be taken for the switch (RFC 8441)."""
    answering.received.clear()
    body = b"" if status.startswith(b"204") else b"content-length: 2\r\n"
    answering.answer = b"HTTP/1.1 " + status + b"\r\n" + body + b"\r\n" + (b"no" if body else b"")
    with Http2(port) as client:
        client.until(lambda: client.frames, "SETTINGS")
        client.send(request(1, pseudo(b"/ws", b"CONNECT") + [(b":protocol", b"websocket")], end=False))
        client.until(lambda: 1 in client.ended)
        assert client.status(1) == (403 if status.startswith(b"403") else 502)
        client.send(frame(DATA, 0, 1, SMUGGLED))
        assert client.is_alive()
    check_no_tunnel(answering)


# ---- expectations ----

@pytest.fixture(scope="module")
def strict(module_stopping):
    server = Strict()
    module_stopping.append(server)
    return server


@pytest.fixture(scope="module")
def strict_port(strict, shared_proxy):
    return shared_proxy(strict.port)[1]


@pytest.mark.parametrize("value", [b"", b"100-continued", b"200-ok", b"100-continue, 100-continue", b"100-continue;q=1", b"x", b"100 continue"])
def test_an_unknown_expectation_is_417(value, strict, strict_port):
    payload = b"POST /expect HTTP/1.1\r\nhost: a.test\r\nexpect: %s\r\ncontent-length: 3\r\n\r\nabc" % value
    assert ask(strict_port, payload).status == 417
    assert "/expect" not in strict.targets()


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"  100-CONTINUE\t"])
def test_a_known_expectation_is_met(value, strict, strict_port):
    target = b"/met/%d" % len(value)
    with Client(strict_port) as client:
        client.send(b"POST %s HTTP/1.1\r\nhost: a.test\r\nexpect: %s\r\ncontent-length: 3\r\n\r\n" % (target, value))
        assert client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"abc")
        assert client.answer().body == target


def test_expect_without_a_body_waits_for_nothing(strict_port):
    with Client(strict_port) as client:
        client.send(b"GET /e1 HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\r\nGET /e2 HTTP/1.1\r\nhost: a.test\r\n\r\n")
        assert client.answer().body == b"/e1"
        answer = client.answer()
        assert answer is None or answer.body == b"/e2"


def test_a_refused_expectation_leaves_no_body_behind(make_proxy, make_raw):
    """0.CL by Expect: the final answer comes before 100, the client sends its body all the same: it is no request."""
    def script(sock, record):
        if Raw.read_head(sock, record) is not None:
            sock.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            sock.recv(65536)

    raw = make_raw(script)
    _, port = make_proxy(raw.port)
    with Client(port) as client:
        client.send(b"POST /x HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(SMUGGLED))
        assert client.until(b"HTTP/1.1 403 ") or client.until(b"HTTP/1.1 100 ")
        client.send(SMUGGLED + b"GET /end HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        while client.more():
            pass
        assert client.rest.count(b"HTTP/1.1 403") <= 2
    assert not [record for record in raw.received if bytes(record).startswith(b"GET /smuggled")]


# ---- httpoxy ----

@pytest.mark.parametrize("name", [b"proxy", b"Proxy", b"PROXY", b"http_proxy", b"HTTP_PROXY"])
def test_the_proxy_field_never_arrives(name, stopping, make_proxy):
    """CVE-2016-5385."""
    echo = Echo()
    stopping.append(echo)
    _, port = make_proxy(echo.port)
    answer = get(port, "/", name + b": http://evil.test\r\n")
    assert answer.status == 200 and "evil" not in json.dumps(json.loads(answer.body)["headers"])
