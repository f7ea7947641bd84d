"""TLS towards upstreams: verified by name and authority, or refused."""
import http.client
import json
import ssl

import pytest

from lib.gateway import Proxy, make_certificate, simple_resources
from lib.process import Process, free_port, wait_until
from lib.upstream import Echo


def server_context(folder, *names):
    """(SSLContext of a server with a certificate of its own for the names, that certificate)."""
    folder.mkdir(exist_ok=True)
    cert, _ = make_certificate(folder, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{names[0]}.crt", folder / f"{names[0]}.key")
    return context, cert


def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"host": "shop.test"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.fixture
def secure(tmp_path, stopping):
    """start(tls of the cluster) -> (Proxy, port, Echo); the upstream's certificate is for up.test and alt.test."""
    context, cert = server_context(tmp_path / "ca", "up.test", "alt.test")
    upstream = Echo(tls=context)
    stopping.append(upstream)

    def start(more=None, **change):
        port = free_port()
        tls = {name: value for name, value in {"hostname": "up.test", "caPem": cert, **change}.items() if value is not None}
        resources = simple_resources(port, upstream.port, cluster={"tls": tls, **(more or {})})
        proxy = Proxy(tmp_path, resources)
        stopping.append(proxy)
        return proxy, port, upstream, resources
    return start


def test_requests_go_over_verified_tls(secure):
    proxy, port, upstream, _ = secure()
    for _ in range(3):
        status, body = get(port)
        assert status == 200 and ["host", "shop.test"] in json.loads(body)["headers"]
    assert set(upstream.server_names) == {"up.test"} and len(upstream.server_names) == 1  # one connection, kept
    assert proxy.metric("selvedge_failures_total") == 0


@pytest.mark.parametrize("tls,is_good", [
    ({"hostname": "alt.test"}, True),
    ({"hostname": "other.test"}, False),
    ({"hostname": "other.test", "altNames": [{"text": "alt.test"}]}, True),
    ({"altNames": [{"text": "other.test"}, {"isUri": True, "text": "spiffe://td/ns/a"}]}, False),
    ({"caPem": None}, False),  # the system's roots know nothing of it
])
def test_the_certificate_must_fit(secure, tls, is_good):
    proxy, port, _, _ = secure(**tls)
    status, _ = get(port)
    assert status == (200 if is_good else 502)
    assert proxy.metric("selvedge_failures_total", cause="upstream_tls") == (0 if is_good else 1)


def test_another_authority_is_refused_live(secure, tmp_path):
    proxy, port, _, resources = secure()
    assert get(port)[0] == 200
    resources[2]["spec"]["tls"]["caPem"] = server_context(tmp_path / "other", "up.test")[1]
    proxy.reload(resources)
    wait_until("the new authority to count", lambda: get(port)[0] == 502)  # the old connection is not used any more
    resources[2]["spec"].pop("tls")
    proxy.reload(resources)
    wait_until("plain requests to be tried", lambda: get(port)[0] == 502 and proxy.metric("selvedge_failures_total", cause="upstream_reset") > 0)


def test_health_is_checked_over_tls(secure):
    check = {"check": {"kind": "http", "path": "/status/200", "intervalMs": 50, "unhealthyThreshold": 1}}
    proxy, port, upstream, _ = secure(check)
    wait_until("checks", lambda: upstream.requests > 2)
    assert proxy.metric("selvedge_upstream_healthy") == 1 and get(port)[0] == 200


def test_http2_over_tls_by_alpn(tmp_path, stopping):
    _, cert = server_context(tmp_path / "ca", "up.test")
    (tmp_path / "www").mkdir()
    (tmp_path / "www/hello").write_text("over h2")
    upstream_port, port = free_port(), free_port()
    nghttpd = Process(["nghttpd", "-d", tmp_path / "www", str(upstream_port), tmp_path / "ca/up.test.key", tmp_path / "ca/up.test.crt"], tmp_path / "nghttpd.log")
    stopping.append(nghttpd)
    resources = simple_resources(port, upstream_port, cluster={"protocol": "h2c", "tls": {"hostname": "up.test", "caPem": cert}})
    stopping.append(Proxy(tmp_path, resources))
    wait_until("the upstream", lambda: get(port, "/hello") == (200, b"over h2"))


def test_an_upstream_without_http2_is_told_from_one_with(secure):
    proxy, port, _, _ = secure({"protocol": "h2c"})
    assert get(port)[0] == 502
    assert proxy.metric("selvedge_failures_total", cause="upstream_tls") == 1
