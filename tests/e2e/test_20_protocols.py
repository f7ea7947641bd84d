"""What clients may speak: HTTP/1.1, HTTP/2 with and without TLS, certificates by name, WebSockets, events, gRPC."""
import asyncio
import http.client
import json
import socket
import ssl
import subprocess
import threading

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import websockets

from lib.gateway import Proxy, make_certificate, simple_resources
from lib.grpc_ratings import Ratings, RatingsServer, messages
from lib.process import free_port
from lib.upstream import Raw
from lib.websocket import WebSocketEcho


def curl(*args):
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *map(str, args)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class H2Client:
    """One HTTP/2 connection, events handled where they are awaited."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(30)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.events = []
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def request(self, *extra, method="GET", path="/", end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "x.test"), (":path", path), *extra]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def send(self, stream, data, end=False):
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def next(self, *kinds, stream=None):
        """The next event of these kinds (of that stream); the others stay in order for whoever asks."""
        while True:
            for event in self.events:
                if isinstance(event, kinds) and stream in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            data = self.sock.recv(65536)
            assert data, "the connection was closed"
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
            self.flush()

    def answer(self, stream):
        head = dict(self.next(h2.events.ResponseReceived, stream=stream).headers)
        body, trailers = b"", {}
        while True:
            event = self.next(h2.events.DataReceived, h2.events.TrailersReceived, h2.events.StreamEnded, h2.events.StreamReset, stream=stream)
            if isinstance(event, h2.events.StreamEnded):
                return head, body, trailers
            assert not isinstance(event, h2.events.StreamReset), event
            if isinstance(event, h2.events.DataReceived):
                body += event.data
            else:
                trailers = dict(event.headers)


def h2_connect(port):
    return H2Client(socket.create_connection(("127.0.0.1", port), timeout=30))


@pytest.fixture
def make_tls(tmp_path, stopping, echo):
    """One https listener, a server for each of {hostname: (certificate, key)}."""
    def make(servers, **fields):
        port = free_port()
        resources = simple_resources(port, echo.port, certificate=next(iter(servers.values())))
        listener = next(r for r in resources if r["kind"] == "listener")["spec"]
        names = [f"d/g/{number}" for number in range(len(servers))]
        listener["servers"] = [{"name": names[i], "hostname": host, "certificates": [f"d/{i}"], **fields} for i, host in enumerate(servers)]
        resources = [r for r in resources if r["kind"] != "certificate"]
        resources += [{"kind": "certificate", "name": f"d/{i}", "spec": {"certPem": c, "keyPem": k}} for i, (c, k) in enumerate(servers.values())]
        next(r for r in resources if r["kind"] == "route")["spec"]["attachments"] = [{"listener": f"*:{port}", "server": n} for n in names]
        proxy = Proxy(tmp_path, resources)
        stopping.append(proxy)
        return port
    return make


def served_certificate(port, name, **kinds):
    """(PEM of the leaf, TLS version, ALPN) as a client that asks for `name` sees it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    for key, value in kinds.items():
        if key == "ciphers":
            context.set_ciphers(value)
        else:
            setattr(context, key, value)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, context.wrap_socket(plain, server_hostname=name) as sock:
        return ssl.DER_cert_to_PEM_cert(sock.getpeercert(True)).strip(), sock.version(), sock.selected_alpn_protocol()


# ---- HTTP/2 ----

def test_http2_without_tls(echo, make_proxy):
    _, port = make_proxy(echo.port)
    out = curl("--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", f"http://127.0.0.1:{port}/a?b=c", "-d", "x" * 70000)
    told, last = out.rsplit("\n", 1)
    assert last == "2 200" and json.loads(told)["body_len"] == 70000 and json.loads(told)["path"] == "/a?b=c"


def test_http2_over_tls_by_alpn(echo, make_tls, tmp_path):
    pair = make_certificate(tmp_path, "a.test")
    port = make_tls({"a.test": pair})
    for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
        out = curl(option, "--cacert", tmp_path / "a.test.crt", "--resolve", f"a.test:{port}:127.0.0.1", "-w", "\n%{http_version}",
                   f"https://a.test:{port}/")
        told, last = out.rsplit("\n", 1)
        assert last == version
        assert dict(json.loads(told)["headers"])["x-forwarded-proto"] == "https"


def test_a_hundred_streams_on_one_connection(echo, make_proxy):
    _, port = make_proxy(echo.port)
    done = subprocess.run(["h2load", "-n", "2000", "-c", "2", "-m", "100", f"http://127.0.0.1:{port}/bytes/20000"], capture_output=True, text=True)
    assert "2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


def test_nghttp_gets_a_page(echo, make_proxy):
    _, port = make_proxy(echo.port)
    done = subprocess.run(["nghttp", "-v", f"http://127.0.0.1:{port}/bytes/300000"], capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0 and ":status: 200" in done.stdout and "content-length: 300000" in done.stdout


# ---- certificates ----

def test_certificates_by_name_exact_before_wildcard(make_tls, tmp_path):
    exact, wild = make_certificate(tmp_path, "a.shop.test"), make_certificate(tmp_path, "*.shop.test")
    port = make_tls({"a.shop.test": exact, "*.shop.test": wild})
    assert served_certificate(port, "a.shop.test")[0] == exact[0].strip()
    assert served_certificate(port, "A.Shop.Test")[0] == exact[0].strip()
    assert served_certificate(port, "b.shop.test")[0] == wild[0].strip()
    assert served_certificate(port, "c.b.shop.test")[0] == wild[0].strip()


def test_no_certificate_for_a_foreign_name(make_tls, tmp_path):
    port = make_tls({"a.shop.test": make_certificate(tmp_path, "a.shop.test")})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served_certificate(port, "b.other.test")


def test_http_in_the_clear_on_a_tls_port_is_told_so(make_tls, tmp_path):
    port = make_tls({"a.shop.test": make_certificate(tmp_path, "a.shop.test")})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 400 and "use https" in answer.read().decode()
    assert connection.sock is None  # closed


def test_rsa_and_ecdsa_side_by_side(tmp_path, stopping, echo):
    port = free_port()
    rsa_folder, ec_folder = tmp_path / "rsa", tmp_path / "ec"
    rsa_folder.mkdir(), ec_folder.mkdir()
    rsa, ec = make_certificate(rsa_folder, "a.test", rsa=True), make_certificate(ec_folder, "a.test")
    resources = simple_resources(port, echo.port, certificate=rsa)
    resources.append({"kind": "certificate", "name": "d/ec", "spec": {"certPem": ec[0], "keyPem": ec[1]}})
    next(r for r in resources if r["kind"] == "listener")["spec"]["servers"][0]["certificates"] = ["d/tls", "d/ec"]
    stopping.append(Proxy(tmp_path, resources))
    only_12 = {"maximum_version": ssl.TLSVersion.TLSv1_2}
    assert served_certificate(port, "a.test", ciphers="ECDHE-RSA-AES128-GCM-SHA256", **only_12)[0] == rsa[0].strip()
    assert served_certificate(port, "a.test", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", **only_12)[0] == ec[0].strip()


def test_tls_versions(make_tls, tmp_path):
    port = make_tls({"a.test": make_certificate(tmp_path, "a.test")})
    assert served_certificate(port, "a.test")[1:] == ("TLSv1.3", "h2")
    assert served_certificate(port, "a.test", maximum_version=ssl.TLSVersion.TLSv1_2)[1:] == ("TLSv1.2", "h2")
    old = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.test", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert old.returncode != 0 and "protocol version" in old.stderr, old.stderr


def test_tls_13_only_where_asked(make_tls, tmp_path):
    port = make_tls({"a.test": make_certificate(tmp_path, "a.test")}, tlsMinVersion=13)
    assert served_certificate(port, "a.test")[1] == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served_certificate(port, "a.test", maximum_version=ssl.TLSVersion.TLSv1_2)


# ---- WebSockets ----

@pytest.fixture
def websocket_echo(stopping):
    server = WebSocketEcho()
    stopping.append(server)
    return server


def test_websocket_over_http1(websocket_echo, make_proxy):
    proxy, port = make_proxy(websocket_echo.port)

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{port}/chat", max_size=None) as client:
            for message in ("hello", b"\x00\x01", "x" * 1_000_000):
                await client.send(message)
                assert await client.recv() == message

    asyncio.run(talk())
    assert proxy.metric("selvedge_tunnels_total") == 1


def test_websocket_over_http2(websocket_echo, make_proxy):
    """RFC 8441: extended CONNECT."""
    _, port = make_proxy(websocket_echo.port)
    client = h2_connect(port)
    event = client.next(h2.events.RemoteSettingsChanged)
    assert event.changed_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL].new_value == 1
    stream = client.h2.get_next_available_stream_id()
    client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "x.test"),
                                    (":path", "/chat"), ("sec-websocket-version", "13")])
    client.flush()
    head = dict(client.next(h2.events.ResponseReceived, stream=stream).headers)
    assert head[":status"] == "200"
    frame = b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01"))
    client.send(stream, frame)
    seen = b""
    while len(seen) < 7:
        seen += client.next(h2.events.DataReceived, stream=stream).data
    assert seen == b"\x81\x05hello"
    client.send(stream, b"\x88\x80\x00\x00\x00\x00", end=True)
    assert client.next(h2.events.StreamEnded, stream=stream)


# ---- responses in pieces ----

def test_events_over_http2_are_not_held_back(echo, make_proxy):
    _, port = make_proxy(echo.port)
    client = h2_connect(port)
    stream = client.request(path="/sse/3")
    seen = b""
    for number in range(3):
        while b"data: %d\n" % number not in seen:
            seen += client.next(h2.events.DataReceived, stream=stream).data
        assert b"data: %d\n" % (number + 1) not in seen
        echo.gate.release()
    assert client.next(h2.events.StreamEnded, stream=stream)


def test_trailers_reach_the_client(make_raw, make_proxy):
    def script(sock, record):
        start = 0
        while (start := Raw.read_head(sock, record, start)) is not None:
            sock.sendall(b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n")

    _, port = make_proxy(make_raw(script).port)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close, te\r\n\r\n")
        seen = b"".join(iter(lambda: sock.recv(65536), b""))
    assert seen.endswith(b"0\r\nx-sum: 42\r\n\r\n"), seen
    client = h2_connect(port)
    head, body, trailers = client.answer(client.request(("te", "trailers")))
    assert head[":status"] == "200" and body == b"abc" and trailers == {"x-sum": "42"}


def test_head_over_http2_has_the_length_and_no_body(echo, make_proxy):
    _, port = make_proxy(echo.port)
    client = h2_connect(port)
    head, body, _ = client.answer(client.request(method="HEAD", path="/bytes/1000"))
    assert head[":status"] == "200" and head["content-length"] == "1000" and body == b""


def test_early_hints_pass(make_raw, make_proxy):
    def script(sock, record):
        start = 0
        while (start := Raw.read_head(sock, record, start)) is not None:
            sock.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    _, port = make_proxy(make_raw(script).port)
    client = h2_connect(port)
    stream = client.request()
    hints = dict(client.next(h2.events.InformationalResponseReceived, stream=stream).headers)
    assert hints[":status"] == "103" and hints["link"] == "</a.css>; rel=preload"
    assert client.answer(stream)[1] == b"ok"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        seen = b"".join(iter(lambda: sock.recv(65536), b""))
    assert seen.startswith(b"HTTP/1.1 103 ") and b"HTTP/1.1 200 " in seen and seen.endswith(b"ok")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_an_early_answer_to_a_large_upload_is_seen(version, make_raw, make_proxy, tmp_path):
    """curl 7.88 shows nothing of an answer when the RST_STREAM that stops the upload comes in the same read."""
    def script(sock, record):
        if Raw.read_head(sock, record) is not None:
            sock.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nearly")
            while sock.recv(65536):
                pass

    _, port = make_proxy(make_raw(script).port, certificate=make_certificate(tmp_path, "a.test"))
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(4 << 20))
    out = curl(version, "--cacert", tmp_path / "a.test.crt", "--resolve", f"a.test:{port}:127.0.0.1", "-T", upload,
               "-w", "\n%{http_code}", f"https://a.test:{port}/")
    assert out == "early\n413"


def test_expect_gets_its_100_before_the_body(echo, make_proxy):
    _, port = make_proxy(echo.port)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n\r\n")
        first = sock.recv(65536)
        assert first.startswith(b"HTTP/1.1 100 "), first
        sock.sendall(b"hello")
        seen = first + b"".join(iter(lambda: sock.recv(65536), b""))
    assert b"HTTP/1.1 200 " in seen and b'"body_len": 5' in seen


def test_a_refusal_needs_no_body_that_expects(make_proxy, echo):
    rules = [{"matches": [{"path": "/only"}], "backends": [{"cluster": "c"}]}]
    _, port = make_proxy(echo.port, rules=rules)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"POST /no HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 500000\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 404 ")
    assert echo.requests == 0


def test_an_answer_may_come_before_the_body_is_over(make_raw, make_proxy):
    def script(sock, record):
        Raw.read_head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n")
        while b"last" not in record:
            record += sock.recv(65536)
        sock.sendall(b"4\r\nlate\r\n0\r\n\r\n")

    _, port = make_proxy(make_raw(script).port)
    client = h2_connect(port)
    stream = client.request(method="POST", end=False)
    assert dict(client.next(h2.events.ResponseReceived, stream=stream).headers)[":status"] == "200"
    assert client.next(h2.events.DataReceived, stream=stream).data == b"early"
    client.send(stream, b"last", end=True)
    assert client.next(h2.events.DataReceived, stream=stream).data == b"late"
    assert client.next(h2.events.StreamEnded, stream=stream)


# ---- gRPC ----

@pytest.fixture
def ratings(tmp_path, stopping, make_proxy):
    server = RatingsServer(tmp_path)
    stopping.append(server)
    _, port = make_proxy(server.port, cluster={"protocol": "h2c"})
    pb = messages(tmp_path)
    client = Ratings(f"127.0.0.1:{port}", pb)
    yield client, pb, server
    client.close()


def test_grpc_unary(ratings):
    client, pb, _ = ratings
    reply, call = client.get.with_call(pb.RatingsRequest(product_id=0), timeout=30)
    assert reply.product_id == 0 and len(reply.ratings) > 0 and call.code() == grpc.StatusCode.OK


def test_grpc_client_streaming(ratings):
    client, pb, _ = ratings
    sent = [pb.RateRequest(product_id=0, rating=pb.Rating(reviewer=f"r{i}", stars=1 + i % 5)) for i in range(50)]
    summary = client.rate(iter(sent), timeout=30)
    assert summary.accepted == 50 and summary.refused == 0


def test_grpc_server_streaming(ratings):
    client, pb, _ = ratings
    stream = client.watch(pb.RatingsRequest(product_id=0, limit=3), timeout=30)
    first = next(stream)
    for number in (1, 2):
        client.rate(iter([pb.RateRequest(product_id=0, rating=pb.Rating(reviewer=f"w{number}", stars=5))]), timeout=30)
        assert next(stream).revision > first.revision
    assert list(stream) == [] and stream.code() == grpc.StatusCode.OK


def test_grpc_bidirectional_streaming(ratings):
    client, pb, _ = ratings
    turn = threading.Semaphore(1)

    def ask():
        for number in range(20):
            turn.acquire(timeout=30)
            yield pb.ChatMessage(text=str(number))

    texts = []
    for reply in client.chat(ask(), timeout=60):
        texts.append(reply.text)
        turn.release()
    assert texts == [str(n) for n in range(20)]


def test_grpc_error_in_the_trailers_alone(ratings):
    client, pb, _ = ratings
    for call, code in ((client.unknown, grpc.StatusCode.UNIMPLEMENTED), (client.get, grpc.StatusCode.NOT_FOUND)):
        with pytest.raises(grpc.RpcError) as caught:
            call(pb.RatingsRequest(product_id=424242), timeout=30)
        assert caught.value.code() == code


def test_grpc_deadline_is_kept_by_the_gateway(make_raw, make_proxy, tmp_path):
    """The upstream takes the call and never answers; the gateway ends it, and says so as gRPC does."""
    def script(sock, record):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65536):
            connection.receive_data(data)
            sock.sendall(connection.data_to_send())

    proxy, port = make_proxy(make_raw(script).port, cluster={"protocol": "h2c"})
    client = h2_connect(port)
    stream = client.request(("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "200m"), method="POST", path="/a.B/C")
    head, _, trailers = client.answer(stream)
    assert head[":status"] == "200" and {**head, **trailers}["grpc-status"] == "4"
    assert proxy.metric("selvedge_failures_total", cause="deadline_exceeded") == 1


def test_grpc_errors_of_the_gateways_own_are_grpc_errors(make_proxy, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        _, port = make_proxy(unused.getsockname()[1], cluster={"protocol": "h2c"}, rules=[
            {"matches": [{"path": "/bookinfo.Ratings"}], "backends": [{"cluster": "c"}]}])
        pb = messages(tmp_path)
        client = Ratings(f"127.0.0.1:{port}", pb)
        try:
            with pytest.raises(grpc.RpcError) as caught:
                client.get(pb.RatingsRequest(product_id=0), timeout=30)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            other = client.channel.unary_unary("/no.Such/Thing")
            with pytest.raises(grpc.RpcError) as caught:
                other(b"", timeout=30)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        finally:
            client.close()


def test_grpc_over_tls(tmp_path, stopping):
    server = RatingsServer(tmp_path)
    stopping.append(server)
    port, pair = free_port(), make_certificate(tmp_path, "localhost")
    stopping.append(Proxy(tmp_path, simple_resources(port, server.port, cluster={"protocol": "h2c"}, certificate=pair)))
    pb = messages(tmp_path)
    client = Ratings(f"localhost:{port}", pb, grpc.ssl_channel_credentials(pair[0].encode()))
    assert len(client.get(pb.RatingsRequest(product_id=0), timeout=30).ratings) > 0
    client.close()


# ---- latency ----

def test_small_pieces_are_not_delayed(tmp_path, stopping, echo):
    """Nagle's algorithm is off on both sides: said by the system calls, not by a clock."""
    port, trace = free_port(), tmp_path / "strace.out"
    proxy = Proxy(tmp_path, simple_resources(port, echo.port))
    stopping.append(proxy)
    tracer = subprocess.Popen(["strace", "-f", "-p", str(proxy.pid), "-e", "trace=setsockopt,connect,accept4,accept", "-o", trace],
                              stderr=subprocess.PIPE, text=True)
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait()
        pytest.skip(f"strace cannot attach here: {line.strip()}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    tracer.terminate()
    tracer.communicate()
    calls = trace.read_text()
    assert calls.count("TCP_NODELAY, [1]") >= 2, calls
