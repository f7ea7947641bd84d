"""The data plane alone: what goes in comes out, unchanged and unbuffered."""
import http.client
import json
import socket

from lib.process import wait_until


def get(port, path, method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer, answer.read()


def test_a_request_reaches_the_upstream_with_its_body(echo, make_proxy):
    _, port = make_proxy(echo.port)
    answer, body = get(port, "/a/b?x=1", "POST", b"q" * 100000, {"x-mine": "yes"})
    told = json.loads(body)
    assert answer.status == 200
    assert told["method"] == "POST" and told["path"] == "/a/b?x=1" and told["body_len"] == 100000
    headers = dict(told["headers"])
    assert headers["x-mine"] == "yes" and "x-request-id" in headers and headers["x-forwarded-proto"] == "http"


def test_chunked_both_ways(echo, make_proxy):
    _, port = make_proxy(echo.port)
    answer, body = get(port, "/x", "POST", iter([b"abc", b"def"]))
    assert json.loads(body)["body_len"] == 6
    answer, body = get(port, "/chunked/300000")
    assert answer.status == 200 and len(body) == 300000


def test_head_and_no_body_statuses(echo, make_proxy):
    _, port = make_proxy(echo.port)
    answer, body = get(port, "/bytes/1000", "HEAD")
    assert answer.status == 200 and answer.getheader("content-length") == "1000" and body == b""
    for status in (204, 304):
        answer, body = get(port, f"/status/{status}")
        assert answer.status == status and body == b""


def test_events_are_not_held_back(echo, make_proxy):
    _, port = make_proxy(echo.port)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET /sse/3 HTTP/1.1\r\nhost: x\r\n\r\n")
        seen = b""
        for number in range(3):
            while b"data: %d\n" % number not in seen:
                piece = client.recv(4096)
                assert piece, seen
                seen += piece
            assert b"data: %d\n" % (number + 1) not in seen
            echo.gate.release()


def test_upstream_connections_are_reused(echo, make_proxy):
    _, port = make_proxy(echo.port)
    connections = {json.loads(get(port, "/")[1])["conn"] for _ in range(20)}
    assert len(connections) == 1


def test_nobody_there_is_502_at_once(make_proxy):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        _, port = make_proxy(unused.getsockname()[1])
        answer, _ = get(port, "/")
        assert answer.status == 502


def test_reload_changes_routes_and_keeps_connections(echo, make_proxy, tmp_path):
    from lib.gateway import simple_resources
    proxy, port = make_proxy(echo.port)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().read()
    rules = [{"matches": [{"path": "/only"}], "backends": [{"cluster": "c"}]}]
    proxy.reload(simple_resources(port, echo.port, rules=rules))

    def is_changed():
        connection.request("GET", "/other")
        answer = connection.getresponse()
        answer.read()
        return answer.status == 404

    wait_until("the new routes on the old connection", is_changed)
    connection.request("GET", "/only")
    assert connection.getresponse().status == 200


def test_stop_is_clean(echo, make_proxy):
    proxy, port = make_proxy(echo.port)
    get(port, "/")
    assert proxy.process.stop() == 0
