"""Upstreams that misbehave, go away and come back; what the gateway says of itself meanwhile."""
import collections
import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import threading

import h2.connection
import h2.events
import pytest

from lib.gateway import Proxy, manifests, route, simple_resources
from lib.process import ROOT, free_port, wait_until
from lib.upstream import Echo, Raw


def get(port, path="/", method="GET", body=None, headers=None):
    """(status, headers, body); the body is None when it did not come whole."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        head = {name.lower(): value for name, value in answer.getheaders()}
        try:
            text = answer.read()
        except (http.client.IncompleteRead, ConnectionError):
            text = None
        return answer.status, head, text
    except (http.client.BadStatusLine, ConnectionError):
        return 0, {}, None
    finally:
        connection.close()


def saying(data, then=None):
    """A script that answers every request with these bytes, then does `then(sock)` or closes."""
    def script(sock, record):
        end = Raw.read_head(sock, record)
        if end is None:
            return
        if record.startswith(b"POST ") and len(record) == end:
            sock.recv(65536)  # its body: a socket that is closed with bytes unread resets
        sock.sendall(data)
        if then is not None:
            then(sock)
    return script


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hold(sock):
    """Until the other side leaves."""
    while sock.recv(65536):
        pass


def endless(piece):
    def then(sock):
        while True:
            sock.sendall(piece)
    return then


class Log:
    """The access log as a file."""

    def __init__(self, folder):
        self.path = folder / "access.log"

    def settings(self):
        return {"accessLog": str(self.path)}

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def wait(self, count=1):
        return wait_until(f"{count} lines of access log", lambda: len(self.lines()) >= count and self.lines())


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


BIG_HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"v" * 1000) for n in range(1000)) + b"\r\n"
ONE = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"

# what the upstream does: (script, status the client gets, whether its body is whole, cause)
MISCHIEF = {
    "closes at once": (saying(b""), 502, True, "upstream_reset"),
    "resets at once": (saying(b"", reset), 502, True, "upstream_reset"),
    "resets in the head": (saying(b"HTTP/1.1 200 OK\r\ncont", reset), 502, True, "upstream_reset"),
    "closes in the head": (saying(b"HTTP/1.1 200 OK\r\ncont"), 502, True, None),
    "body shorter than it says": (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), 200, False, "upstream_truncated"),
    "reset in the body": (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", reset), 200, False, None),
    "chunks cut": (saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"), 200, False, "upstream_truncated"),
    "last chunk missing": (saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"), 200, False, "upstream_truncated"),
    "garbage": (saying(b"\x00\x01\x02 what is this\r\n\r\n"), 502, True, "upstream_protocol"),
    "garbage chunks": (saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n"), None, False, "upstream_protocol"),
    "two lengths": (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"), 502, True, "upstream_protocol"),
    "length and chunks": (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 502, True, "upstream_protocol"),
    "HTTP/2 unasked": (saying(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), 502, True, "upstream_protocol"),
    "a status of 99": (saying(b"HTTP/1.1 99 Odd\r\ncontent-length: 0\r\n\r\n"), 502, True, "upstream_protocol"),
    "101 unasked": (saying(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"), 502, True, "upstream_protocol"),
    "endless 1xx": (saying(b"", endless(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")), 103, True, None),
    "a head of 1 MB": (saying(BIG_HEAD), 502, True, "upstream_head_too_large"),
    "an endless header": (saying(b"HTTP/1.1 200 OK\r\nx: ", endless(b"y" * 65536)), 502, True, "upstream_head_too_large"),
}


@pytest.mark.parametrize("what", MISCHIEF)
def test_mischief_has_one_cause_and_harms_nobody_else(make_raw, make_proxy, log, what):
    script, status, is_whole, cause = MISCHIEF[what]
    bad = make_raw(script)
    proxy, port = make_proxy(bad.port, settings=log.settings())
    before = proxy.process.rss_kb()
    got, _, body = get(port, method="POST", body=b"x")
    assert status is None or got == status
    assert (body is not None) == is_whole, body
    line = log.wait()[0]
    if cause is not None:
        assert line["cause"] == cause, line
    # This client takes the first 103 for the answer and leaves: it may be gone before the upstream has said one too many.
    assert line["cause"].startswith("upstream_") or (cause is None and line["cause"] == "client_gone"), line
    assert line["attempts"] == 1
    assert proxy.metric("selvedge_failures_total", cause=line["cause"]) == 1
    assert len(bad.received) == 1  # a POST that was sent is not sent again
    assert proxy.process.rss_kb() - before < 4096
    wait_until("nothing to be left of it", lambda: proxy.metric("selvedge_requests_active") == 0)


def test_body_longer_than_it_says_is_cut_and_the_connection_not_used_again(make_raw, make_proxy):
    bad = make_raw(saying(ONE + b"abcHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged", hold))
    _, port = make_proxy(bad.port)
    for number in range(1, 4):
        assert get(port, f"/{number}")[2] == b"abc"
        assert len(bad.received) == number


def test_two_responses_to_one_request(make_raw, make_proxy):
    """The second one must not become the answer to somebody else's request, even when it comes late."""
    release = threading.Event()

    def script(sock, record):
        Raw.read_head(sock, record)
        sock.sendall(ONE + b"one")
        release.wait(30)
        sock.sendall(ONE + b"two")
        hold(sock)

    bad = make_raw(script)
    proxy, port = make_proxy(bad.port)
    assert get(port)[2] == b"one"
    release.set()
    wait_until("the connection to be dropped", lambda: proxy.metric("selvedge_upstream_connections") == 0)
    assert get(port)[2] == b"one"
    assert len(bad.received) == 2


def test_no_answer_within_the_backends_time(make_raw, make_proxy, log):
    bad = make_raw(saying(b"", hold))
    rules = [{"matches": [{}], "backends": [{"cluster": "c"}], "backendTimeoutMs": 200}]
    _, port = make_proxy(bad.port, rules=rules, settings=log.settings())
    assert get(port)[0] == 504
    assert log.wait()[0]["cause"] == "backend_timeout"
    wait_until("the upstream to be let go", lambda: len(bad.received) == 1)


def test_no_first_byte_in_time(make_raw, make_proxy, log):
    bad = make_raw(saying(b"", hold))
    _, port = make_proxy(bad.port, cluster={"firstByteTimeoutMs": 200}, settings=log.settings())
    assert get(port, method="POST", body=b"x")[0] == 504
    assert log.wait()[0]["cause"] == "first_byte_timeout"


def test_request_timeout_counts_everything(make_raw, make_proxy, log):
    bad = make_raw(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", hold))
    rules = [{"matches": [{}], "backends": [{"cluster": "c"}], "requestTimeoutMs": 300}]
    _, port = make_proxy(bad.port, rules=rules, settings=log.settings())
    status, _, body = get(port)
    assert status == 200 and body is None
    assert log.wait()[0]["cause"] == "request_timeout"


# ---- retries ----

def endpoints(resources, *ports):
    next(r for r in resources if r["kind"] == "endpoints")["spec"]["endpoints"] = [{"host": "127.0.0.1", "port": p} for p in ports]
    return resources


@pytest.fixture
def start(tmp_path, stopping):
    """start(resources) with a listener on the port they were made for."""
    def make(resources, **kinds):
        proxy = Proxy(tmp_path, resources, **kinds)
        stopping.append(proxy)
        return proxy
    return make


def test_nobody_home_goes_to_another_endpoint(echo, start):
    port = free_port()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = start(endpoints(simple_resources(port, 0), nobody.getsockname()[1], echo.port))
        for number in range(40):
            status, _, body = get(port, method="POST" if number % 2 else "GET", body=b"abc" if number % 2 else None)
            assert status == 200 and json.loads(body)["body_len"] == (3 if number % 2 else 0)
        assert proxy.metric("selvedge_retries_total") > 0
    assert echo.requests == 40


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_an_upstream_broke_on_is_not_sent_to_the_next(make_raw, echo, start, method):
    port = free_port()
    bad = make_raw(saying(b""))
    start(endpoints(simple_resources(port, 0, cluster={"lb": "roundRobin"}), bad.port, echo.port))
    answers = [get(port, method=method, body=b"pay" if method == "POST" else None)[0] for _ in range(20)]
    assert set(answers) == {200, 502}
    assert len(bad.received) == answers.count(502) and echo.requests == answers.count(200)


def answer_one_and_read_another(sock, record):
    end = Raw.read_head(sock, record)
    sock.sendall(ONE + b"abc")
    Raw.read_head(sock, record, end)


def test_a_post_on_a_kept_connection_is_not_sent_twice(make_raw, make_proxy):
    """The upstream reads the second request of a connection and closes without a word: it may have acted on it."""
    bad = make_raw(answer_one_and_read_another)
    _, port = make_proxy(bad.port)
    assert get(port)[2] == b"abc"
    assert get(port, "/pay", "POST", b"1")[0] == 502
    assert bad.all_bytes().count(b"POST /pay") == 1


def test_a_kept_connection_that_is_closed_meanwhile_costs_no_request(make_raw, make_proxy):
    """The upstream answers once a connection and closes when the next request is on its way."""
    bad = make_raw(answer_one_and_read_another)
    proxy, port = make_proxy(bad.port)
    for _ in range(20):
        status, _, body = get(port)
        assert status == 200 and body == b"abc"
    assert proxy.metric("selvedge_retries_total") > 0


def test_an_outage_is_at_most_doubled(make_raw, start, log):
    port = free_port()
    bad = [make_raw(saying(b"")) for _ in range(3)]
    start(endpoints(simple_resources(port, 0, settings=log.settings()), *(b.port for b in bad)))
    for _ in range(10):
        assert get(port)[0] == 502
    assert sum(len(b.received) for b in bad) <= 20
    assert all(line["attempts"] <= 2 and line["cause"] == "upstream_reset" for line in log.wait(10))


# ---- health ----

CHECK = {"kind": "http", "intervalMs": 100, "timeoutMs": 1000, "unhealthyThreshold": 2, "path": "/status/200"}


def names(port, count=20):
    answers = [get(port) for _ in range(count)]
    return collections.Counter(json.loads(body)["name"] if status == 200 else status for status, _, body in answers)


def test_an_unhealthy_endpoint_leaves_and_returns(stopping, start):
    one, two = Echo("one"), Echo("two")
    port, second_port = free_port(), two.port
    stopping.append(one)
    proxy = start(endpoints(simple_resources(port, 0, cluster={"check": CHECK, "lb": "roundRobin"}), one.port, second_port))
    assert set(names(port)) == {"one", "two"}
    two.stop()
    wait_until("it to be found unhealthy", lambda: proxy.metric("selvedge_upstream_healthy") == 1)
    assert names(port) == {"one": 20}
    two = Echo("two", second_port)
    stopping.append(two)
    wait_until("it to be found healthy again", lambda: proxy.metric("selvedge_upstream_healthy") == 2)
    assert set(names(port)) == {"one", "two"}


@pytest.mark.parametrize("kind", ["tcp", "grpc"])
def test_other_kinds_of_checks(tmp_path, stopping, start, kind):
    """A TCP check needs a listener, a gRPC check an answer of SERVING."""
    from lib.grpc_ratings import RatingsServer
    server = RatingsServer(tmp_path) if kind == "grpc" else Echo()
    stopping.append(server)
    port = free_port()
    check = {"kind": kind, "intervalMs": 100, "unhealthyThreshold": 1}
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        other = silent.getsockname()[1] if kind == "grpc" else nobody.getsockname()[1]
        check["timeoutMs"] = 300
        proxy = start(endpoints(simple_resources(port, 0, cluster={"check": check, "protocol": "h2c" if kind == "grpc" else "http1"}), server.port, other))
        wait_until("one of two to be healthy", lambda: proxy.metric("selvedge_upstream_healthy") == 1)
        assert proxy.metric("selvedge_upstream_healthy", endpoint=f"127.0.0.1:{server.port}") == 1


def test_health_checks_from_a_policy(gateway, stopping):
    """The whole way: a BackendTrafficPolicy, two endpoints, one of them dies and comes back."""
    one, two = Echo("one"), Echo("two")
    stopping.append(one)
    port, second_port = free_port(), two.port
    text = manifests(port, {"shop": one.port}, route("all", ["shop"]))
    text += (f"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: shop-2, namespace: default, labels: {{kubernetes.io/service-name: shop}}}}\n"
             f"addressType: IPv4\nports: [{{name: p, port: {second_port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
             "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: checked, namespace: default}\n"
             "spec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: all}]\n  loadBalancer: {type: RoundRobin}\n"
             "  healthCheck: {active: {type: HTTP, interval: 100ms, unhealthyThreshold: 2, http: {path: /status/200}}}\n")
    gateway.apply(text)
    assert set(names(port)) == {"one", "two"}
    two.stop()
    wait_until("it to be found unhealthy", lambda: gateway.metric("selvedge_upstream_healthy") == 1)
    assert names(port) == {"one": 20}
    two = Echo("two", second_port)
    stopping.append(two)
    wait_until("it to be found healthy again", lambda: gateway.metric("selvedge_upstream_healthy") == 2)
    assert set(names(port)) == {"one", "two"}


def test_nothing_ready_is_503(start, log):
    port = free_port()
    resources = simple_resources(port, 1, settings=log.settings())
    next(r for r in resources if r["kind"] == "endpoints")["spec"]["endpoints"][0]["ready"] = False
    start(resources)
    status, head, _ = get(port)
    assert status == 503 and head["retry-after"] == "1" and log.wait()[0]["cause"] == "no_ready_endpoint"


# ---- routes through the whole gateway ----

def rule(parts, backends="[{name: shop, port: 80}]", matches="[{path: {value: /}}]"):
    return f"  - matches: {matches}\n    {parts}\n    backendRefs: {backends}\n" if backends else f"  - matches: {matches}\n    {parts}\n"


def rules(*texts, name="all"):
    return (f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: default}}\nspec:\n"
            "  parentRefs: [{name: edge}]\n  rules:\n" + "".join(texts))


def test_what_rules_do_to_requests(gateway, echo):
    port = free_port()
    headers = ("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: new}], add: [{name: x-b, value: two}], remove: [x-c]}},"
               " {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-back, value: yes}]}}]").replace("yes", "'yes'")
    gateway.apply(manifests(port, {"shop": echo.port}, rules(
        rule("filters: [{type: URLRewrite, urlRewrite: {hostname: in.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /inner}}}]", matches="[{path: {value: /outer}}]"),
        rule("filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: other.test, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /new}}}]",
             backends=None, matches="[{path: {value: /old}}]"),
        rule(headers, matches="[{path: {value: /heads}}]"),
        rule("timeouts: {request: 200ms}", matches="[{path: {value: /delay}}]"),
        rule("", backends="[{name: missing, port: 80}]", matches="[{path: {value: /missing}}]"),
        rule("", backends="[]", matches="[{path: {value: /none}}]"))))
    told = json.loads(get(port, "/outer/a?b=c")[2])
    assert told["path"] == "/inner/a?b=c" and dict(told["headers"])["host"] == "in.test"
    status, head, _ = get(port, "/old/x")
    assert (status, head["location"]) == (301, "https://other.test/new")
    status, head, body = get(port, "/heads", headers={"x-a": "old", "x-b": "one", "x-c": "gone"})
    sent = json.loads(body)["headers"]
    assert head["x-back"] == "yes"
    assert [v for k, v in sent if k == "x-a"] == ["new"] and "x-c" not in dict(sent)
    assert ",".join(v for k, v in sent if k == "x-b").replace(" ", "") == "one,two"
    assert get(port, "/delay/20000")[0] == 504
    assert get(port, "/missing")[0] == 500 and get(port, "/none")[0] == 500 and get(port, "/elsewhere")[0] == 404


def test_weights_and_the_share_of_what_is_missing(gateway, stopping):
    port = free_port()
    shops = {name: Echo(name) for name in ("one", "two")}
    stopping.extend(shops.values())
    gateway.apply(manifests(port, {name: shop.port for name, shop in shops.items()},
                            route("all", [("one", 6), ("two", 2), ("missing", 2)])))
    seen = names(port, 400)
    assert set(seen) == {"one", "two", 500}
    assert 180 < seen["one"] < 300 and 40 < seen["two"] < 130 and 40 < seen[500] < 130, seen


# ---- leaving ----

def slow_upstream(make_raw):
    """Answers its head at once and the rest when `release` is set."""
    release = threading.Event()

    def script(sock, record):
        start = 0
        while (start := Raw.read_head(sock, record, start)) is not None:
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            release.wait(30)
            sock.sendall(b"world")
    return make_raw(script), release


def test_sigterm_lets_http1_requests_finish(make_raw, make_proxy, log):
    upstream, release = slow_upstream(make_raw)
    rules = [{"matches": [{"path": "/slow"}], "backends": [{"cluster": "c"}]}]
    proxy, port = make_proxy(upstream.port, settings=log.settings(), rules=rules)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as busy, socket.create_connection(("127.0.0.1", port), timeout=30) as idle:
        idle.sendall(b"GET /none HTTP/1.1\r\nhost: no.test\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 404 ")
        busy.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        seen = b""
        while b"hello" not in seen:
            seen += busy.recv(65536)
        proxy.process.signal(signal.SIGTERM)
        wait_until("new connections to be refused", lambda: get(port)[0] == 0)
        assert idle.recv(10) == b""
        assert proxy.process.is_running()
        release.set()
        while piece := busy.recv(65536):
            seen += piece
        assert seen.endswith(b"helloworld")
    assert proxy.process.wait(30) == 0
    assert [(line["path"], line["status"]) for line in log.lines() if "cause" not in line] == [("/slow", 200)]


def test_sigterm_says_connection_close(echo, make_proxy):
    """An answer whose head is made while draining tells the client not to come back on this connection."""
    proxy, port = make_proxy(echo.port)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as busy:
        busy.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel")
        wait_until("the request to be under way", lambda: proxy.metric("selvedge_requests_active") == 1)
        proxy.process.signal(signal.SIGTERM)
        wait_until("new connections to be refused", lambda: get(port)[0] == 0)
        busy.sendall(b"lo")
        seen = b""
        while piece := busy.recv(65536):
            seen += piece
    assert b"connection: close" in seen.lower().split(b"\r\n\r\n")[0] and b'"body_len": 5' in seen
    assert proxy.process.wait(30) == 0


def test_sigterm_sends_goaway_and_finishes_streams(make_raw, make_proxy):
    upstream, release = slow_upstream(make_raw)
    proxy, port = make_proxy(upstream.port)
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")], end_stream=True)
    seen, body = [], b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(client.data_to_send())

        def read_until(kind):
            nonlocal body
            while not any(isinstance(event, kind) for event in seen):
                data = sock.recv(65536)
                assert data, seen
                events = client.receive_data(data)
                body += b"".join(e.data for e in events if isinstance(e, h2.events.DataReceived))
                seen.extend(events)

        read_until(h2.events.DataReceived)
        proxy.process.signal(signal.SIGTERM)
        read_until(h2.events.ConnectionTerminated)
        release.set()
        # h2 takes GOAWAY for the end; the frames that follow are read by hand
        rest = b""
        while piece := sock.recv(65536):
            rest += piece
        assert b"world" in body + rest
    assert proxy.process.wait(30) == 0


def test_what_never_ends_is_cut_when_the_time_to_drain_is_over(make_raw, make_proxy):
    upstream, _ = slow_upstream(make_raw)
    proxy, port = make_proxy(upstream.port, settings={"drainTimeoutMs": 300})
    with socket.create_connection(("127.0.0.1", port), timeout=30) as busy:
        busy.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        seen = b""
        while b"hello" not in seen:
            seen += busy.recv(65536)
        assert proxy.process.stop() == 0
        try:
            assert b"world" not in busy.recv(65536)
        except ConnectionError:
            pass


# ---- telling ----

def test_access_log_line(echo, make_proxy, log):
    _, port = make_proxy(echo.port, settings=log.settings())
    get(port, "/status/201", "POST", b"12345", {"user-agent": "a \"quoted\"\tagent", "x-forwarded-for": "1.2.3.4"})
    line = log.wait()[0]
    assert line["method"] == "POST" and line["path"] == "/status/201" and line["status"] == 201 and line["protocol"] == "HTTP/1.1"
    assert line["bytes_in"] == 5 and line["bytes_out"] == 2 and line["client"] == "127.0.0.1" and line["attempts"] == 1
    assert line["backend"] == "c" and line["endpoint"] == f"127.0.0.1:{echo.port}" and line["route"] == "httproute/d/r"
    assert line["user_agent"] == "a \"quoted\"\tagent" and "cause" not in line
    assert line["duration_ms"] >= line["upstream_ms"] > 0


def test_every_answer_of_its_own_has_one_cause(make_proxy, log):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        rules = [{"matches": [{"path": "/gone"}], "backends": [{"cluster": "c"}]},
                 {"matches": [{"path": "/missing"}], "backends": [{"cluster": ""}]},
                 {"matches": [{"path": "/none"}]}]
        proxy, port = make_proxy(nobody.getsockname()[1], rules=rules, settings=log.settings())
        expected = {"/gone": (502, "connect_failed"), "/missing": (500, "backend_invalid"), "/none": (500, "no_backends"), "/else": (404, "no_route")}
        for path, (status, _) in expected.items():
            assert get(port, path)[0] == status, path
        lines = {line["path"]: line for line in log.wait(4)}
    assert {path: (line["status"], line["cause"]) for path, line in lines.items()} == expected
    assert {path: line.get("detail") for path, line in lines.items()} == {
        "/gone": "Connection refused", "/missing": None, "/none": None, "/else": None}
    for _, cause in expected.values():
        assert proxy.metric("selvedge_failures_total", cause=cause) == 1


def test_log_file_is_opened_anew_on_sighup(echo, make_proxy, log, tmp_path):
    proxy, port = make_proxy(echo.port, settings=log.settings())
    get(port, "/one")
    log.wait()
    log.path.rename(tmp_path / "old.log")
    proxy.process.signal(signal.SIGHUP)

    def is_new():
        get(port, "/two")
        return log.path.exists() and log.lines()

    wait_until("the new file", is_new)
    assert log.lines()[0]["path"] == "/two"


def test_metrics_are_valid_and_count(echo, make_proxy):
    proxy, port = make_proxy(echo.port)
    for number in range(30):
        assert get(port, "/status/404" if number % 3 == 0 else "/", "POST", b"abcd")[0] in (200, 404)
    assert proxy.metric("selvedge_requests_total") == 30
    assert proxy.metric("selvedge_request_bytes_total") == 120
    assert proxy.metric("selvedge_request_duration_seconds_count") == 30
    assert proxy.metric("selvedge_upstream_connects_total") == 1
    assert proxy.metric("selvedge_downstream_connections_total") == 30
    done = subprocess.run(["promtool", "check", "metrics"], input=proxy.metrics(), capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    documented = (ROOT / "docs/data-plane.md").read_text()
    assert [name for name in re.findall(r"^# TYPE (\S+)", proxy.metrics(), re.M) if f"`{name}`" not in documented] == []


def test_request_id_and_trace_context(echo, make_proxy):
    _, port = make_proxy(echo.port)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    told = dict(json.loads(get(port, headers={"traceparent": trace, "x-request-id": "mine"})[2])["headers"])
    version, trace_id, parent, flags = told["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01") and len(parent) == 16
    assert told["x-request-id"] != "mine" and len(told["x-request-id"]) == 36
    told = dict(json.loads(get(port, headers={"traceparent": "00-0000-bad"})[2])["headers"])
    assert len(told["traceparent"]) == 55 and told["traceparent"].split("-")[1] != "0" * 32


def test_a_callers_request_id_is_kept_where_that_is_set(echo, make_proxy):
    _, port = make_proxy(echo.port, settings={"trustRequestId": True})
    assert dict(json.loads(get(port, headers={"x-request-id": "mine"})[2])["headers"])["x-request-id"] == "mine"


def test_forwarded_headers_are_believed_from_listed_hops_only(echo, start):
    port = free_port()
    sent = {"x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https"}
    proxy = start(simple_resources(port, echo.port))
    told = dict(json.loads(get(port, headers=sent)[2])["headers"])
    assert told["x-forwarded-for"] == "127.0.0.1" and told["x-forwarded-proto"] == "http"
    proxy.reload(simple_resources(port, echo.port, settings={"trustedProxies": ["127.0.0.0/8"]}))

    def is_believed():
        told = dict(json.loads(get(port, headers=sent)[2])["headers"])
        return told["x-forwarded-for"].startswith("9.9.9.9") and told["x-forwarded-proto"] == "https"

    wait_until("the hop to be trusted", is_believed)
