"""Who may do what: every role, everywhere and confined to a namespace, on every kind, verb and endpoint. The expectation is one
rule (may), not a list: what discovery names is asked."""
import http.client
import json
import ssl

import pytest

from lib.control import Control
from lib.gateway import UnixConnection

RANK = {"viewer": 1, "editor": 2, "admin": 3}
CALLERS = ("anonymous", "node", "viewer", "editor", "admin", "viewer@shop", "editor@shop", "admin@shop")
MERGE = "application/merge-patch+json"


class Caller:
    """One connection kept open; calls that stay open (watches, streams) have their own."""

    def __init__(self, control, name):
        self.control, self.name = control, name
        self.role, _, self.namespace = name.partition("@")
        self.token = None
        if self.role in RANK:
            self.token = control.make_token("matrix-" + name.replace("@", "-"), self.role, **({"namespaces": [self.namespace]} if self.namespace else {}))
        self.connection = self.connect()

    def connect(self):
        if self.role == "node":
            return UnixConnection(self.control.data / "node.sock")
        context = ssl.create_default_context(cafile=str(self.control.data / "ca.crt"))
        return http.client.HTTPSConnection("127.0.0.1", self.control.port, context=context, timeout=30)

    def status(self, method, target, body=None, content_type="application/json", stays_open=False):
        connection = self.connect() if stays_open else self.connection
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["content-type"] = content_type
        connection.request(method, target, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        if stays_open:
            connection.close()
        else:
            answer.read()
        return answer.status

    def check(self, is_allowed, *args, **more):
        status = self.status(*args, **more)
        if is_allowed:
            assert status not in (401, 403) and status < 500, f"{self.name} {args}: {status}"
        else:
            assert status == (401 if self.role == "anonymous" else 403), f"{self.name} {args}: {status}"


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    server = Control(tmp_path_factory.mktemp("matrix"))
    server.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    yield server
    server.stop()


@pytest.fixture(scope="module", params=CALLERS)
def caller(control, request):
    return Caller(control, request.param)


def may(caller, role, namespace):
    """`namespace` "": all of them, or a kind without namespaces."""
    if caller.role not in RANK or RANK[caller.role] < RANK[role]:
        return False
    return not caller.namespace or caller.namespace == namespace


def all_kinds(control):
    lists = [("/api/v1", control.get("/api/v1"))]
    lists += [(f"/apis/{v['groupVersion']}", control.get(f"/apis/{v['groupVersion']}")) for g in control.get("/apis")["groups"] for v in g["versions"]]
    resources = [(base, r) for base, answer in lists for r in answer["resources"]]
    statuses = {(base, r["name"].partition("/")[0]) for base, r in resources if r["name"].endswith("/status")}
    return [(base, r["name"], r["namespaced"], (base, r["name"]) in statuses) for base, r in resources if "list" in r["verbs"]]


def test_every_verb_on_every_kind(control, caller):
    kinds = all_kinds(control)
    assert len({plural for _, plural, _, _ in kinds}) >= 13
    for base, plural, is_namespaced, has_status in kinds:
        writes = "admin" if plural == "nodes" else "editor"
        for namespace in ("shop", "default") if is_namespaced else ("",):
            many = f"{base}/namespaces/{namespace}/{plural}" if is_namespaced else f"{base}/{plural}"
            one = f"{many}/ghost"
            caller.check(may(caller, "viewer", namespace), "GET", many)
            caller.check(may(caller, "viewer", namespace), "GET", f"{many}?watch=1", stays_open=True)
            caller.check(may(caller, "viewer", namespace), "GET", one)
            caller.check(may(caller, writes, namespace), "POST", many, {"spec": 1})
            caller.check(may(caller, writes, namespace), "PUT", one, {})
            caller.check(may(caller, writes, namespace), "PATCH", one, {}, MERGE)
            caller.check(may(caller, writes, namespace), "DELETE", one)
            caller.check(may(caller, writes, namespace), "DELETE", f"{many}?labelSelector=no%3Dsuch")
            if has_status:
                caller.check(may(caller, "viewer", namespace), "GET", f"{one}/status")
                caller.check(may(caller, writes, namespace), "PUT", f"{one}/status", {})
                caller.check(may(caller, writes, namespace), "PATCH", f"{one}/status", {}, MERGE)
        if is_namespaced:
            caller.check(may(caller, "viewer", ""), "GET", f"{base}/{plural}")
            caller.check(may(caller, "viewer", ""), "GET", f"{base}/{plural}?watch=1", stays_open=True)


def test_ones_own_namespace_may_be_looked_at(caller):
    caller.check(may(caller, "viewer", "shop"), "GET", "/api/v1/namespaces/shop")
    caller.check(may(caller, "viewer", "default"), "GET", "/api/v1/namespaces/default")
    caller.check(may(caller, "editor", ""), "PATCH", "/api/v1/namespaces/shop", {"metadata": {"labels": {"a": "b"}}}, MERGE)


ANY, ALL = "any", "all"  # in any namespace; in all of them
ENDPOINTS = [
    ("GET", "/healthz", None, None), ("GET", "/livez", None, None), ("GET", "/readyz", None, None), ("GET", "/version", None, None),
    ("GET", "/api", "viewer", ANY), ("GET", "/api/v1", "viewer", ANY), ("GET", "/apis", "viewer", ANY), ("GET", "/api/v1/events", "viewer", ANY), ("GET", "/api/v1/namespaces/shop/events", "viewer", ANY), ("GET", "/apis/selvedge.dev", "viewer", ANY),
    ("GET", "/apis/selvedge.dev/v1alpha1", "viewer", ANY), ("GET", "/openapi/v2", "viewer", ANY), ("GET", "/openapi/v3", "viewer", ANY),
    ("GET", "/openapi/v3/api/v1", "viewer", ANY), ("GET", "/openapi/v3/apis/selvedge.dev/v1alpha1", "viewer", ANY),
    ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "viewer", ANY),
    ("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "viewer", ANY),
    ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "viewer", ANY),
    ("POST", "/selvedge/v1/apply", "editor", ANY), ("GET", "/selvedge/v1/revisions", "viewer", ALL), ("GET", "/selvedge/v1/revisions/1", "viewer", ALL),
    ("GET", "/selvedge/v1/revisions/1/status", "viewer", ANY), ("GET", "/selvedge/v1/diff?from=1", "viewer", ALL),
    ("POST", "/selvedge/v1/rollback", "editor", ALL), ("GET", "/selvedge/v1/explain?url=http://a:1/", "viewer", ALL),
    ("POST", "/selvedge/v1/explain", "viewer", ALL), ("GET", "/selvedge/v1/audit", "admin", ALL), ("GET", "/selvedge/v1/audit/verify", "admin", ALL),
    ("POST", "/selvedge/v1/backup", "admin", ALL), ("POST", "/selvedge/v1/tokens", "admin", ALL), ("GET", "/selvedge/v1/tokens", "admin", ALL),
    ("DELETE", "/selvedge/v1/tokens/ghost", "admin", ALL), ("POST", "/selvedge/v1/join-tokens", "admin", ALL),
    ("GET", "/selvedge/v1/join-tokens", "admin", ALL), ("DELETE", "/selvedge/v1/join-tokens/ghost", "admin", ALL),
]


def test_every_endpoint(caller):
    for method, target, role, scope in ENDPOINTS:
        namespace = caller.namespace if scope == ANY else ""
        is_allowed = role is None or may(caller, role, namespace)
        caller.check(is_allowed, method, target, {} if method == "POST" else None)


def test_whoami_answers_whoever_is_somebody(caller):
    caller.check(caller.role != "anonymous", "GET", "/selvedge/v1/whoami")


@pytest.mark.parametrize("method, what", [("GET", "stream"), ("GET", "snapshot"), ("POST", "status"), ("POST", "certificate")])
def test_the_node_protocol_is_for_the_node_itself(caller, method, what):
    body = {} if method == "POST" else None
    is_stream = what == "stream"
    assert caller.status(method, f"/selvedge/v1/nodes/other/{what}", body, stays_open=is_stream) in (401, 403)
    if caller.role == "node" and what != "certificate":  # node.sock needs none, and gets none
        caller.check(True, method, f"/selvedge/v1/nodes/local/{what}", body, stays_open=is_stream)
    else:
        assert caller.status(method, f"/selvedge/v1/nodes/local/{what}", body, stays_open=is_stream) in (401, 403)


def test_joining_takes_a_join_token(caller):
    for body in ({}, {"token": "sj_wrong", "node": "x", "csr": "x"}):
        assert 400 <= caller.status("POST", "/selvedge/v1/join", body) < 500
