"""What Gateway API says of routes, by real requests to a real gateway that real manifests configure."""
import http.client
import json
import socket
import ssl

import pytest

from lib.gateway import Gateway, make_certificate, manifests, tls_secret
from lib.process import free_port, wait_until
from lib.upstream import Echo

BACKEND = {"name": "a", "port": 80}
OTHER = {"name": "b", "port": 80}


def route(name, rules, hostname=None, parent="edge", namespace="default"):
    spec = {"parentRefs": [{"name": parent, "namespace": "default"}], "hostnames": [hostname or f"{name}.test"], "rules": rules}
    return json.dumps({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name, "namespace": namespace}, "spec": spec})


def modify(**actions):
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": actions}


def rewrite(prefix, replacement):
    return {"matches": [{"path": {"value": prefix}}], "backendRefs": [BACKEND],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": replacement}}}]}


def redirect(prefix, **what):
    return {"matches": [{"path": {"value": prefix}}], "filters": [{"type": "RequestRedirect", "requestRedirect": what}]}


ROUTES = {
    "modifiers": [{"backendRefs": [BACKEND], "filters": [
        modify(set=[{"name": "X-Set", "value": "first"}, {"name": "x-set", "value": "second"}],
               add=[{"name": "X-Add", "value": "first"}, {"name": "x-add", "value": "second"}], remove=["X-Gone", "x-both"])]},
        {"matches": [{"path": {"value": "/both"}}], "backendRefs": [BACKEND], "filters": [
            modify(set=[{"name": "x-both", "value": "set"}], add=[{"name": "X-Both", "value": "added"}], remove=["x-both"])]}],
    "regex": [{"matches": [{"path": {"type": "RegularExpression", "value": "/v[0-9]+"}}], "backendRefs": [BACKEND]},
              {"matches": [{"headers": [{"type": "RegularExpression", "name": "X-V", "value": "a|b"}]}], "backendRefs": [OTHER]}],
    "methods": [{"matches": [{"method": "GET"}], "backendRefs": [BACKEND]}, {"matches": [{"method": "POST"}], "backendRefs": [OTHER]}],
    "queries": [{"matches": [{"queryParams": [{"name": "x", "value": "1"}]}], "backendRefs": [BACKEND]},
                {"matches": [{"queryParams": [{"name": "y", "value": "1"}, {"name": "x", "value": "1"}]}], "backendRefs": [OTHER]}],
    "paths": [{"matches": [{"path": {"type": "Exact", "value": "/a"}}], "backendRefs": [BACKEND]},
              {"matches": [{"path": {"type": "PathPrefix", "value": "/b/"}}], "backendRefs": [OTHER]},
              {"matches": [{"path": {"type": "Exact", "value": "/caf%c3%a9/%7Eann"}}], "backendRefs": [BACKEND]}],
    "zero": [{"backendRefs": [{**BACKEND, "weight": 0}, {**OTHER, "weight": 0}]}],
    "some-zero": [{"backendRefs": [{**BACKEND, "weight": 0}, OTHER]}],
    "timeouts": [{"timeouts": {"request": "0s", "backendRequest": "0s"}, "backendRefs": [BACKEND]}],
    "rewrites": [rewrite("/one/", "/xyz"), rewrite("/two/", "/xyz/"), rewrite("/three", ""), rewrite("/four", "/")],
    "redirects": [redirect("/full", path={"type": "ReplaceFullPath", "replaceFullPath": "/new"}),
                  redirect("/prefix", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new/"}, statusCode=307),
                  redirect("/scheme", scheme="https"), redirect("/port", port=8443, statusCode=308), redirect("/host", hostname="other.test", scheme="http"),
                  {**redirect("/hsts", scheme="https"), "filters": redirect("/hsts", scheme="https")["filters"] + [
                      {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "Strict-Transport-Security", "value": "max-age=9"}]}}]}],
    "external": [{"backendRefs": [{"name": "external", "port": 80}]}],
    "nobody": [{"backendRefs": [{"name": "nobody", "port": 80}]}],
    "leaving": [{"backendRefs": [{"name": "leaving", "port": 80}]}],
}

SERVICES = """---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: leaving, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: leaving, namespace: default, labels: {kubernetes.io/service-name: leaving}}
addressType: IPv4
ports: [{port: %(port)d}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: false, serving: true, terminating: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: external, namespace: default}
spec: {type: ExternalName, externalName: localhost, ports: [{port: 80, targetPort: %(port)d}]}
"""

SIX = """---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: six, namespace: default}
spec: {gatewayClassName: selvedge, addresses: [{value: "::1"}], listeners: [{name: http, port: %d, protocol: HTTP}]}
---
"""


class World:
    def __init__(self, folder, stopping):
        self.gateway = Gateway(folder)
        self.one, self.two = Echo("a"), Echo("b")
        stopping += [self.gateway, self.one, self.two]
        self.port, self.six_port = free_port(), free_port()
        texts = [manifests(self.port, {"a": self.one.port, "b": self.two.port}), SERVICES % {"port": self.one.port}, SIX % self.six_port]
        texts += [route(name, rules) for name, rules in ROUTES.items()] + [route("six", [redirect("/r", port=8443), {"backendRefs": [BACKEND]}], parent="six")]
        self.gateway.apply("\n---\n".join(texts))

    def ask(self, name, path="/", method="GET", headers=(), host=None, address="127.0.0.1", port=None):
        """(status, headers, what the upstream was told or None)."""
        connection = http.client.HTTPConnection(address, port or self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("host", host or f"{name}.test")
        for header in headers:
            connection.putheader(*header)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        told = json.loads(body) if answer.getheader("content-type") == "application/json" and body else None
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, told

    def server(self, *args, **more):
        """Who answered: "a", "b", or the status."""
        status, _, told = self.ask(*args, **more)
        return told["name"] if status == 200 else status


@pytest.fixture(scope="module")
def world(tmp_path_factory, module_stopping):
    return World(tmp_path_factory.mktemp("routes"), module_stopping)


def sent(told, name):
    return [value for key, value in told["headers"] if key == name]


# ---- matches ----

@pytest.mark.parametrize("path, server", [("/v1", "a"), ("/v1?x=/v", "a"), ("/v12", "a"), ("/v1/", 404), ("/xv1", 404), ("/V1", 404), ("/v", 404)])
def test_expressions_match_the_whole_path(world, path, server):
    assert world.server("regex", path) == server


@pytest.mark.parametrize("value, server", [("a", "b"), ("b", "b"), ("ab", 404), ("A", 404), ("", 404)])
def test_expressions_match_the_whole_header(world, value, server):
    assert world.server("regex", "/other", headers=[("x-v", value)]) == server


@pytest.mark.parametrize("method, server", [("GET", "a"), ("POST", "b"), ("HEAD", 404), ("PUT", 404), ("get", 404)])
def test_methods_are_as_they_are_written(world, method, server):
    assert world.server("methods", method=method) == server


@pytest.mark.parametrize("query, server", [("x=1", "a"), ("x=1&y=1", "b"), ("y=1&x=1", "b"), ("x=%31", "a"), ("x=1&x=2", "a"), ("x=2&x=1", 404), ("X=1", 404), ("x", 404), ("", 404)])
def test_more_query_parameters_win_in_any_order_and_the_first_of_a_name_counts(world, query, server):
    assert world.server("queries", f"/?{query}") == server


@pytest.mark.parametrize("path, server", [
    ("/a", "a"), ("/a?", "a"), ("/a/", 404), ("/A", 404), ("/%61", "a"), ("/x/../a", "a"), ("//a", "a"),
    ("/b", "b"), ("/b/", "b"), ("/b/c", "b"), ("/b//c", "b"), ("/bc", 404), ("/b/%2e%2e/a", "a"),
    ("/caf%C3%A9/~ann", "a"), ("/caf%c3%a9/%7eann", "a"), ("/caf%C3%A9/%7Eann", "a"), ("/a;x", 400), ("/b/%2F", 400)])
def test_paths_are_matched_in_one_form_on_both_sides(world, path, server):
    assert world.server("paths", path) == server


@pytest.mark.parametrize("host, status", [("methods.test", 200), ("METHODS.test", 200), ("methods.test.", 200), ("methods.test:80", 200), ("methods.test.:8080", 200),
                                          ("a.methods.test", 404), ("[::1]", 404), ("127.0.0.1", 404)])
def test_hosts_without_regard_to_case_port_and_trailing_dot(world, host, status):
    assert world.ask("", host=host)[0] == status


# ---- filters ----

def test_modifiers_take_the_first_of_names_that_differ_in_case(world):
    told = world.ask("modifiers", headers=[("x-set", "own"), ("x-add", "own"), ("x-gone", "1"), ("X-GONE", "2")])[2]
    assert sent(told, "x-set") == ["first"] and sent(told, "x-gone") == []
    assert ", ".join(sent(told, "x-add")) == "own, first"
    assert ", ".join(sent(world.ask("modifiers", "/both", headers=[("x-both", "own")])[2], "x-both")) == "set, added"


@pytest.mark.parametrize("path, upstream", [
    ("/one/bar", "/xyz/bar"), ("/one", "/xyz"), ("/one/", "/xyz/"), ("/two/bar", "/xyz/bar"), ("/two", "/xyz"),
    ("/three/bar", "/bar"), ("/three", "/"), ("/three/", "/"), ("/four", "/"), ("/four/", "/"), ("/four/a?b=c", "/a?b=c")])
def test_prefixes_are_replaced_as_the_table_says(world, path, upstream):
    assert world.ask("rewrites", path)[2]["path"] == upstream


@pytest.mark.parametrize("path, status, location", [
    ("/full/x?y=z", 302, "http://redirects.test:PORT/new?y=z"), ("/prefix/x", 307, "http://redirects.test:PORT/new/x"),
    ("/scheme/x", 302, "https://redirects.test/scheme/x"), ("/port", 308, "http://redirects.test:8443/port"), ("/host", 302, "http://other.test/host")])
def test_redirects_keep_what_they_do_not_name(world, path, status, location):
    got, headers, _ = world.ask("redirects", path, host="redirects.test:1")
    assert (got, headers["location"]) == (status, location.replace("PORT", str(world.port)))


def test_a_redirect_has_the_header_fields_that_its_rule_sets(world):
    status, headers, _ = world.ask("redirects", "/hsts")
    assert (status, headers["strict-transport-security"]) == (302, "max-age=9")


# ---- backends ----

def test_weights_of_zero(world):
    assert world.server("zero") == 500
    assert {world.server("some-zero") for _ in range(20)} == {"b"}


def test_no_endpoint_and_none_ready_are_503(world):
    for name in ("nobody", "leaving"):
        status, headers, _ = world.ask(name)
        assert status == 503 and headers["retry-after"] == "1"


def test_another_name_is_looked_up(world):
    assert world.server("external") == "a"


def test_no_timeout_is_none(world):
    assert world.server("timeouts", "/delay/300") == "a"


def test_listeners_on_an_ipv6_address(world):
    assert world.server("six", "/", host="six.test:1", address="::1", port=world.six_port) == "a"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", world.six_port), timeout=5)
    status, headers, _ = world.ask("six", "/r", address="::1", port=world.six_port)
    assert (status, headers["location"]) == (302, "http://six.test:8443/r")


# ---- explain agrees ----

@pytest.mark.parametrize("method, path, outcome", [("GET", "/a", "forward"), ("GET", "/caf%c3%a9/%7Eann", "forward"), ("GET", "/x", "no route"),
                                                   ("GET", "/a;x", None), ("GET", "/b/%2F", None), ("TRACE", "/a", None)])
def test_explain_says_what_a_request_would_get(world, method, path, outcome):
    status, text = world.gateway.api("POST", "/selvedge/v1/explain", json.dumps({"method": method, "url": f"http://paths.test:{world.port}{path}"}))
    live = world.ask("paths", path, method=method)[0]
    assert live == ({"forward": 200, "no route": 404}[outcome] if outcome else 405 if method != "GET" else 400)
    if outcome:
        assert status == 200 and json.loads(text)["outcome"] == outcome
    else:
        assert status == 422 and f"answered {live}" in json.loads(text)["message"]


# ---- grants, live ----

GRANT = """apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: edge, namespace: data}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}, {group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]
  to: [{group: "", kind: Service}, {group: "", kind: Secret, name: far}]
"""


def test_grants_come_and_go(gateway, echo, tmp_path):
    """A backend and a certificate of another namespace: served while that grants it, and the conditions say which."""
    port, https_port = free_port(), free_port()
    pair = make_certificate(tmp_path, "far.test")
    text = manifests(port, {}, https_port=https_port, secret="far, namespace: data")
    text += "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: data}\n---\n" + tls_secret("far", pair, "data")
    text += f"""---
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: data}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: db, namespace: data, labels: {{kubernetes.io/service-name: db}}}}
addressType: IPv4
ports: [{{port: {echo.port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
---
""" + route("far", [{"backendRefs": [{"name": "db", "namespace": "data", "port": 80}]}])
    gateway.apply(text)

    def status():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/", headers={"host": "far.test"})
        return connection.getresponse().status

    def tls_status():
        context = ssl.create_default_context(cadata=pair[0])
        try:
            with socket.create_connection(("127.0.0.1", https_port), timeout=30) as plain, context.wrap_socket(plain, server_hostname="far.test") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nhost: far.test\r\nconnection: close\r\n\r\n")
                return int(tls.recv(4096).split()[1])
        except OSError:
            return None

    def reasons():
        """Of the route and of the listener; fewer while they have no status yet."""
        found = gateway.get("/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/far").get("status", {}).get("parents", [])[:1]
        found += gateway.get("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/edge").get("status", {}).get("listeners", [])[1:2]
        return [next(c["reason"] for c in entry["conditions"] if c["type"] == "ResolvedRefs") for entry in found]

    def is_refused():
        return reasons() == ["RefNotPermitted"] * 2 and status() == 500 and tls_status() is None

    wait_until("both references to be refused", is_refused)
    gateway.apply(GRANT)
    wait_until("both to be served", lambda: reasons() == ["ResolvedRefs"] * 2 and status() == 200 and tls_status() == 200)
    gateway.delete("/apis/gateway.networking.k8s.io/v1/namespaces/data/referencegrants/edge")
    wait_until("both to be refused again", is_refused)
