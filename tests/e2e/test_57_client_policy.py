"""ClientTrafficPolicy through the whole gateway: limits of a port, changed live, told in statuses, refused by name."""
import asyncio
import json
import socket
import ssl

import pytest
import websockets

from lib.gateway import Gateway, make_certificate, manifests, route, tls_secret
from lib.http2 import Http2, pseudo, request
from lib.process import free_port, wait_until
from lib.upstream import Echo
from lib.websocket import WebSocketEcho
from lib.wire import Client, GoodClient, get

POLICIES = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/default/clienttrafficpolicies"


@pytest.fixture(scope="module")
def edge(tmp_path_factory, module_stopping):
    folder = tmp_path_factory.mktemp("edge")
    echo, chat = Echo(), WebSocketEcho()
    gateway = Gateway(folder)
    module_stopping.extend([echo, chat, gateway])
    gateway.port, gateway.tls_port = free_port(), free_port()
    gateway.pair = make_certificate(folder, "a.test")
    gateway.apply(tls_secret("tls", gateway.pair) + "---\n" +
                  manifests(gateway.port, {"shop": echo.port, "chat": chat.port},
                            route("all", ["shop"]) + "---\n" + route("chat", ["chat"], matches="[{path: {value: /chat}}]"), gateway.tls_port))
    wait_until("the first answer", lambda: get(gateway.port, "/").status == 200)
    return gateway


@pytest.fixture
def policy(edge):
    """policy(spec, name, section): applied and running; gone afterwards."""
    names = []

    def make(spec, name="p", section=None):
        target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", **({"sectionName": section} if section else {})}
        edge.apply(json.dumps({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "ClientTrafficPolicy",
                               "metadata": {"name": name, "namespace": "default"}, "spec": {"targetRefs": [target], **spec}}))
        names.append(name)
    yield make
    for name in set(names):
        edge.delete(f"{POLICIES}/{name}")


def verdict(edge, name="p"):
    """(status, reason) of the first target, or None."""
    ancestors = edge.get(f"{POLICIES}/{name}").get("status", {}).get("ancestors")
    if not ancestors:
        return None
    assert ancestors[0]["ancestorRef"]["name"] == "edge" and ancestors[0]["controllerName"] == "selvedge.dev/gateway"
    condition = next(c for c in ancestors[0]["conditions"] if c["type"] == "Accepted")
    return condition["status"], condition["reason"]


def keep_alive(port):
    client = Client(port)
    client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
    assert client.answer().status == 200
    return client


def test_limits_change_live_and_those_who_are_there_keep_theirs(edge, policy):
    with GoodClient(edge.port, "/") as good, keep_alive(edge.port) as old:
        policy({"timeout": {"http": {"idleTimeout": "100ms"}}})
        wait_until("the verdict", lambda: verdict(edge) == ("True", "Accepted"))
        with keep_alive(edge.port) as new:
            assert new.is_ended()  # by its idle timeout
        policy({"timeout": {"http": {"idleTimeout": "0s"}}})
        with keep_alive(edge.port) as new:
            old.send(b"GET /old HTTP/1.1\r\nhost: a.test\r\n\r\n")
            assert old.answer().status == 200
            new.send(b"GET /new HTTP/1.1\r\nhost: a.test\r\n\r\n")
            assert new.answer().status == 200
    assert not good.faults


def test_a_head_and_a_request_have_their_time(edge, policy):
    policy({"timeout": {"http": {"requestHeadersReceivedTimeout": "200ms", "requestReceivedTimeout": "400ms"}}})
    for start in (b"GET / HTTP/1.1\r\nhost: a.test\r\n", b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc"):
        with Client(edge.port) as client:
            client.send(start)
            assert client.answer().status == 408
            assert client.is_ended()


def test_a_request_that_stands_still_is_ended(edge, policy):
    policy({"timeout": {"http": {"streamIdleTimeout": "1s"}}})
    assert get(edge.port, "/delay/4000").status == 408
    with Http2(edge.port) as client:
        assert client.get(1, b"/delay/4000")[0] == 408
        assert client.get(3)[0] == 200


def test_a_websocket_that_stands_still_is_ended(edge, policy):
    policy({"timeout": {"http": {"streamIdleTimeout": "1s"}}})

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{edge.port}/chat", ping_interval=None) as client:
            for _ in range(7):  # longer than the timeout, all together
                await client.send("x")
                assert await client.recv() == "x"
                await asyncio.sleep(0.2)  # a pace, not a wait
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(client.recv(), 30)

    asyncio.run(talk())
    assert edge.metric("selvedge_failures_total", cause="stream_idle") >= 1


def test_connections_of_a_port_are_bounded(edge, policy):
    policy({"connection": {"connectionLimit": {"value": 3}}}, section="http")
    refused = edge.metric("selvedge_downstream_connections_refused_total")
    held = []
    try:
        for _ in range(3):  # with a request in flight: idle ones would make room
            held.append(Client(edge.port))
            held[-1].send(b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1\r\n\r\n")
        wait_until("them to be taken", lambda: edge.metric("selvedge_requests_active") == 3)
        with Client(edge.port) as late:
            assert late.is_ended()
        assert edge.metric("selvedge_downstream_connections_refused_total") > refused
        with socket.create_connection(("127.0.0.1", edge.tls_port)):  # a port of its own, with limits of its own
            held[0].send(b"x")
            assert held[0].answer().status == 200
        wait_until("the idle one to make room", lambda: answers(edge.port))
    finally:
        for client in held:
            client.sock.close()


def answers(port):
    try:
        answer = get(port, "/")
    except OSError:
        return False
    return answer is not None and answer.status == 200


def test_requests_of_a_connection_are_bounded(edge, policy):
    policy({"connection": {"connectionLimit": {"maxRequestsPerConnection": 2}}})
    with keep_alive(edge.port) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
        assert client.answer().get("connection") == "close"
        assert client.is_ended()


def test_http2_settings(edge, policy):
    policy({"http2": {"maxConcurrentStreams": 2, "initialStreamWindowSize": "128Ki", "initialConnectionWindowSize": "2Mi"}})
    with Http2(edge.port) as client:
        client.send(b"".join(request(s, pseudo(b"/", method=b"POST"), end=False) for s in (1, 3, 5)))
        client.until(lambda: 5 in client.resets)
        assert client.resets == {5: 7}  # REFUSED_STREAM
        settings = client.settings
        assert settings[3] == 2 and settings[4] == 128 * 1024


def hello(edge, version=None, alpn=None, ciphers=None):
    """(version, protocol, suite) that a client gets."""
    made = ssl.create_default_context(cadata=edge.pair[0])
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    if ciphers:
        made.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", edge.tls_port), timeout=30) as plain:
        with made.wrap_socket(plain, server_hostname="a.test") as sock:
            return sock.version(), sock.selected_alpn_protocol(), sock.cipher()[0]


def test_tls_versions_suites_and_protocols(edge, policy):
    assert hello(edge, alpn=["http/1.1", "h2"]) == ("TLSv1.3", "h2", "TLS_AES_128_GCM_SHA256")
    policy({"tls": {"maxVersion": "1.2", "ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"], "alpnProtocols": ["http/1.1"]}}, section="https")
    assert hello(edge, alpn=["h2", "http/1.1"]) == ("TLSv1.2", "http/1.1", "ECDHE-ECDSA-AES256-GCM-SHA384")
    with pytest.raises(ssl.SSLError):
        hello(edge, ssl.TLSVersion.TLSv1_3)
    with pytest.raises(ssl.SSLError):
        hello(edge, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    policy({"tls": {"minVersion": "1.3"}}, section="https")
    assert hello(edge)[0] == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        hello(edge, ssl.TLSVersion.TLSv1_2)


def told_client(edge, header):
    return dict(json.loads(get(edge.port, "/", b"x-forwarded-for: %s\r\n" % header).body)["headers"])["x-forwarded-for"]


def test_who_is_believed_about_the_client(edge, policy):
    with keep_alive(edge.port) as old:
        assert told_client(edge, b"203.0.113.9") == "127.0.0.1"
        policy({"clientIPDetection": {"xForwardedFor": {"trustedCIDRs": ["127.0.0.0/8"]}}})
        assert told_client(edge, b"203.0.113.9") == "203.0.113.9, 127.0.0.1"
        policy({"clientIPDetection": {"xForwardedFor": {"numTrustedHops": 1}}})
        assert told_client(edge, b"203.0.113.9") == "203.0.113.9, 127.0.0.1"
        policy({"clientIPDetection": {"xForwardedFor": {"numTrustedHops": 0}}})
        old.send(b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 203.0.113.9\r\n\r\n")
        assert dict(json.loads(old.answer().body)["headers"])["x-forwarded-for"] == "127.0.0.1"


def test_the_older_policy_stays_and_a_section_beats_the_gateway(edge, policy):
    policy({"timeout": {"http": {"idleTimeout": "0s"}}}, "first")
    policy({"timeout": {"http": {"idleTimeout": "100ms"}}}, "second")
    wait_until("the verdict", lambda: verdict(edge, "second") == ("False", "Conflicted"))
    policy({"timeout": {"http": {"idleTimeout": "100ms"}}}, "narrow", section="http")
    wait_until("the verdict", lambda: verdict(edge, "narrow") == ("True", "Accepted") and verdict(edge, "first") == ("True", "Accepted"))
    with keep_alive(edge.port) as client:
        assert client.is_ended()
    policy({}, "nowhere", section="missing")
    wait_until("the verdict", lambda: verdict(edge, "nowhere") == ("False", "TargetNotFound"))


REFUSED = [
    ({"connection": {"bufferLimit": "32Ki"}}, "spec.connection.bufferLimit: not supported"),
    ({"path": {"disableMergeSlashes": True}}, "spec.path.disableMergeSlashes: not supported"),
    ({"tls": {"minVersion": "1.3", "maxVersion": "1.2"}}, "spec.tls.minVersion"),
    ({"tls": {"minVersion": "1.0"}}, "spec.tls.minVersion"),
    ({"timeout": {"http": {"idleTimeout": "soon"}}}, "spec.timeout.http.idleTimeout"),
    ({"http2": {"initialStreamWindowSize": "1Ki"}}, "spec.http2.initialStreamWindowSize"),
    ({"proxyProtocol": {}}, "spec.proxyProtocol: not supported"),
]


@pytest.mark.parametrize("spec,path", REFUSED, ids=[path for _, path in REFUSED])
def test_what_is_not_served_is_refused_by_name(spec, path, edge):
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    status, text = edge.api("POST", POLICIES, json.dumps({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "ClientTrafficPolicy",
        "metadata": {"name": "bad"}, "spec": {"targetRef": target, **spec}}))
    assert status == 422 and path in json.loads(text)["message"], text
