"""TLS towards upstreams: verified by name and authority, or refused."""
import http.client
import json
import ssl

import pytest

from lib.gateway import Proxy, make_certificate, manifests, route, simple_resources
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


# ---- as resources ----

def policy(name="up", hostname="up.test", ca="ca", target="shop", more=""):
    return (f"---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: {name}, namespace: default}}\nspec:\n"
            f"  targetRefs: [{{group: '', kind: Service, name: {target}}}]\n"
            f"  validation: {{hostname: {hostname}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: {ca}}}]{more}}}\n")


def config_map(name, text):
    return "---\n" + json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
                                 "data": {"ca.crt": text}}) + "\n"


def conditions(gateway, name="up"):
    """{condition: (status, reason)} and what the first entry is about; empty while there is no status."""
    found = gateway.get(f"/apis/gateway.networking.k8s.io/v1/namespaces/default/backendtlspolicies/{name}")
    if "status" not in found:
        return {"Accepted": None}, None
    entry = found["status"]["ancestors"][0]
    return {c["type"]: (c["status"], c["reason"]) for c in entry["conditions"]}, (entry["ancestorRef"]["kind"], entry["ancestorRef"]["name"])


def test_a_policy_turns_tls_on_and_says_where_it_stands(tmp_path, stopping, gateway):
    context, cert = server_context(tmp_path / "ca", "up.test", "alt.test")
    upstream, port = Echo("secure", tls=context), free_port()
    stopping.append(upstream)
    gateway.apply(manifests(port, {"shop": upstream.port}, route("shop", ["shop"])) + config_map("ca", cert) + policy())
    assert get(port)[0] == 200 and set(upstream.server_names) == {"up.test"}
    accepted = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    wait_until("the status", lambda: conditions(gateway) == (accepted, ("Gateway", "edge")))

    gateway.apply(policy("younger", hostname="other.test"))  # the older one goes on
    wait_until("the conflict", lambda: conditions(gateway, "younger")[0]["Accepted"] == ("False", "Conflicted"))
    assert get(port)[0] == 200

    gateway.apply(policy(more=", subjectAltNames: [{type: Hostname, hostname: other.test}]"))
    assert get(port)[0] == 502
    gateway.apply(policy(hostname="other.test", more=", subjectAltNames: [{type: Hostname, hostname: alt.test}]"))
    assert get(port)[0] == 200


@pytest.mark.parametrize("text,ca,reason", [
    (None, "missing", "InvalidCACertificateRef"), ("no certificate", "ca", "InvalidCACertificateRef"), ("", "ca", "InvalidCACertificateRef")])
def test_without_an_authority_nothing_is_sent(tmp_path, stopping, gateway, text, ca, reason):
    context, _ = server_context(tmp_path / "ca", "up.test")
    upstream, port = Echo(tls=context), free_port()
    stopping.append(upstream)
    given = "" if text is None else config_map("ca", text)
    gateway.apply(manifests(port, {"shop": upstream.port}, route("shop", ["shop"])) + given + policy(ca=ca))
    assert get(port)[0] == 500 and upstream.requests == 0
    wait_until("the status", lambda: conditions(gateway)[0] == {"Accepted": ("False", "NoValidCACertificate"), "ResolvedRefs": ("False", reason)})


def test_app_protocol_https_needs_a_policy(tmp_path, stopping, gateway):
    context, cert = server_context(tmp_path / "ca", "up.test")
    upstream, port = Echo(tls=context), free_port()
    stopping.append(upstream)
    documents = manifests(port, {"shop": upstream.port}, route("shop", ["shop"])).replace("port: 80}", "port: 80, appProtocol: https}", 1)
    gateway.apply(documents)
    assert get(port)[0] == 500
    found = wait_until("the status", lambda: gateway.get("/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/shop").get("status"))
    refs = next(c for c in found["parents"][0]["conditions"] if c["type"] == "ResolvedRefs")
    assert refs["reason"] == "UnsupportedProtocol" and "needs a BackendTLSPolicy" in refs["message"]
    gateway.apply(config_map("ca", cert) + policy())
    assert get(port)[0] == 200
