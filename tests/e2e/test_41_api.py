"""The control API by plain calls: errors, selectors, paging, watches, access, bulk apply, history."""
import base64
import http.client
import json
import ssl
import threading

import pytest

from lib.control import GATEWAY, YAML, route, service
from lib.gateway import UnixConnection, make_certificate, tls_secret
from lib.process import wait_until

SERVICES = "/api/v1/namespaces/default/services"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"
SECRETS = "/api/v1/namespaces/default/secrets"
REVIEWS = "/apis/authorization.k8s.io/v1"
MERGE = "application/merge-patch+json"


def make_service(name, port=80, **metadata):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, **metadata},
            "spec": {"ports": [{"name": "http", "port": port}]}}


def tls_call(control, method, target, token=None, body=None, headers=None):
    context = ssl.create_default_context(cafile=str(control.data / "ca.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", control.port, context=context, timeout=30)
    head = dict(headers or {})
    if token is not None:
        head["authorization"] = f"Bearer {token}"
    if body is not None:
        head.setdefault("content-type", "application/json")
    connection.request(method, target, body=json.dumps(body) if body is not None else None, headers=head)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


# ---- errors ----

@pytest.mark.parametrize("target", ["/foo", "/apis/none/v1/things", "/api/v1/pods", "/apis/gateway.networking.k8s.io/v9/gateways",
                                    SERVICES + "/absent", SERVICES + "/a/logs", "/api/v1/services/a",
                                    "/api/v1/namespaces/default/namespaces/x"])
def test_what_is_not_there_is_a_status_404(control, target):
    status = control.get(target, status=404)
    assert status["kind"] == "Status" and status["reason"] == "NotFound" and status["message"]


@pytest.mark.parametrize("target, kind", [("/api/v1/pods", "pods"), ("/api/v1/namespaces/default/pods", "pods"), ("/api/v1/namespaces/default/pods/x", "pods"),
                                          ("/api/v1/namespaces/default/pods/x/log", "pods"), ("/apis/apps/v1/namespaces/default/deployments", "deployments")])
def test_kinds_that_are_not_served_are_named(control, target, kind):
    assert control.get(target, status=404)["message"].startswith(f'the server does not serve "{kind}" in ')


def test_a_patch_that_fails_tells_which_operation(control):
    control.call("POST", SERVICES, make_service("web"))
    patch = [{"op": "test", "path": "/spec/ports/0/port", "value": 80}, {"op": "test", "path": "/spec/ports/0/port", "value": 81}]
    cause, = control.call("PATCH", SERVICES + "/web", patch, "application/json-patch+json", status=422)["details"]["causes"]
    assert cause["field"] == "patch[1]" and cause["message"] == 'the test of "/spec/ports/0/port" fails'


def test_server_side_apply_keeps_to_the_revision_it_names(control):
    def apply(name, rev, label, status=None):
        return control.call("PATCH", f"{SERVICES}/{name}?fieldManager=a&force=true", make_service(name, resourceVersion=rev, labels={"l": label}),
                            "application/apply-patch+yaml", status=status)
    first = control.call("POST", SERVICES, make_service("web"))["metadata"]["resourceVersion"]
    second = apply("web", first, "1")["metadata"]["resourceVersion"]
    told = apply("web", first, "2", status=409)
    assert "the object has been modified" in told["message"] and "metadata.labels" in told["details"]["causes"][0]["field"]
    assert apply("web", second, "2")["metadata"]["labels"]["l"] == "2"
    assert apply("none", second, "1", status=409)["reason"] == "Conflict"
    control.get(SERVICES + "/none", status=404)
    assert "is no revision" in apply("web", "x", "1", status=400)["message"]


def test_methods_that_do_not_fit_are_405(control):
    assert control.call("PUT", SERVICES, {}, status=405)["reason"] == "MethodNotAllowed"
    assert control.call("POST", "/selvedge/v1/whoami", {}, status=405)
    for method, target, allow in (("PUT", SERVICES, "GET, POST, DELETE"), ("OPTIONS", SERVICES + "/a", "GET, PUT, PATCH, DELETE"),
                                  ("DELETE", ROUTES + "/a/status", "GET, PUT, PATCH"), ("DELETE", "/api/v1/services", "GET"),
                                  ("POST", "/api/v1/services", "GET"), ("PUT", "/selvedge/v1/tokens", "POST, GET")):
        connection = UnixConnection(control.socket)
        connection.request(method, target)
        answer = connection.getresponse()
        assert answer.status == 405 and answer.getheader("allow") == allow and json.loads(answer.read())["kind"] == "Status"


def test_a_kind_of_a_group_that_is_not_there_is_named(control):
    assert '"deployments" in apps/v1' in control.get("/apis/apps/v1/namespaces/default/deployments", status=404)["message"]


@pytest.mark.parametrize("body, content_type, status", [
    ("{", "application/json", 400), ("", "application/json", 400), ("a: [", YAML, 400), ("[]", "application/json", 400),
    ('{"a":1,"a":2}', "application/json", 400), ("x", "text/plain", 415), ("a=b", "application/x-www-form-urlencoded", 415),
    ("a: &a [*a]", YAML, 400), ('{"apiVersion":"v1","kind":"Pod"}', "application/json", 400), ("---\na: 1\n---\nb: 2", YAML, 400),
    ('{"apiVersion":"v1","kind":"Service","metadata":{"name":"A B"},"spec":{}}', "application/json", 422),
    ('{"metadata":[]}', "application/json", 422), ('{"metadata":{"name":"a\'; DROP TABLE object"}}', "application/json", 422),
    ("[" * 100000, "application/json", 400)])
def test_bad_bodies_are_refused(control, body, content_type, status):
    answer = control.call("POST", SERVICES, body, content_type, status=status)
    assert answer["kind"] == "Status" and answer["code"] == status


def test_too_large_a_body_is_413(control):
    assert control.call("POST", SERVICES, '"' + "x" * (4 << 20) + '"', status=413)["reason"] == "RequestEntityTooLarge"


def test_all_violations_come_at_once_with_their_paths(control):
    bad = make_service("web", 70000)
    bad["spec"]["nonsense"] = 1
    bad["metadata"]["labels"] = {"a b": "c"}
    causes = control.call("POST", SERVICES, bad, status=422)["details"]["causes"]
    fields = {cause["field"] for cause in causes}
    assert "spec.ports[0].port" in fields and "spec.nonsense" in fields and len(fields) >= 3


def test_field_validation_warns_or_ignores_when_asked(control):
    odd = make_service("odd")
    odd["spec"]["nonsense"] = 1
    control.call("POST", SERVICES, odd, status=422)
    connection = UnixConnection(control.socket)
    connection.request("POST", SERVICES + "?fieldValidation=Warn", json.dumps(odd), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 201 and "spec.nonsense" in answer.getheader("warning") and answer.getheader("warning").startswith("299 - ")
    assert "nonsense" not in json.loads(answer.read())["spec"]
    control.call("POST", SERVICES + "?fieldValidation=Ignore", {**odd, "metadata": {"name": "odd2"}})


# ---- writing ----

def test_generate_name_dry_run_and_yaml(control):
    made = control.call("POST", SERVICES, {**make_service("x"), "metadata": {"generateName": "web-"}}, status=201)
    assert made["metadata"]["name"].startswith("web-") and len(made["metadata"]["name"]) == 9
    assert made["metadata"]["uid"] and made["metadata"]["generation"] == 1
    control.call("POST", SERVICES + "?dryRun=All", make_service("ghost"), status=201)
    control.get(SERVICES + "/ghost", status=404)
    control.call("POST", SERVICES, service("fromyaml"), YAML, status=201)
    status, text = control.api("GET", SERVICES + "/fromyaml", headers={"accept": YAML})
    assert status == 200 and "\n  name: fromyaml" in text


def test_a_stale_update_is_409_and_shows_what_changed(control):
    first = control.call("POST", SERVICES, make_service("web"))
    control.call("PATCH", SERVICES + "/web", {"spec": {"ports": [{"name": "http", "port": 81}]}}, MERGE)
    first["spec"]["ports"][0]["port"] = 82
    conflict = control.call("PUT", SERVICES + "/web", first, status=409)
    assert conflict["reason"] == "Conflict" and "80 -> 81" in conflict["message"] and "unix:uid=" in conflict["message"]
    assert conflict["details"]["causes"][0]["field"] == "spec.ports[http].port"


def test_an_update_without_change_is_no_revision(control):
    first = control.call("POST", SERVICES, make_service("web"))
    again = control.call("PUT", SERVICES + "/web", make_service("web"))
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_status_is_a_subresource(control):
    control.call("POST", ROUTES, route(), YAML)
    control.call("PATCH", ROUTES + "/web", {"status": {"parents": []}, "metadata": {"labels": {"a": "b"}}}, MERGE)
    parents = [{"parentRef": {"name": "edge"}, "controllerName": "example.com/x", "conditions": []}]
    answer = control.call("PATCH", ROUTES + "/web/status", {"status": {"parents": parents}, "spec": {"hostnames": ["evil.example"]}}, MERGE)
    assert answer["status"]["parents"][0]["controllerName"] == "example.com/x"
    assert answer["spec"]["hostnames"] == ["a.example"]
    control.call("PATCH", ROUTES + "/web/status", {"status": {"parents": 5}}, MERGE, status=422)


def test_delete_with_preconditions(control):
    made = control.call("POST", SERVICES, make_service("web"))
    control.call("DELETE", SERVICES + "/web", {"preconditions": {"uid": "other"}}, status=409)
    control.call("DELETE", SERVICES + "/web", {"preconditions": {"resourceVersion": "1"}}, status=409)
    control.call("DELETE", SERVICES + "/web?dryRun=All")
    for options in ([], {"kind": "Service"}, {"dryRun": ["Some"]}, {"propagationPolicy": "Nope"}, {"preconditions": {"resourceVersion": "x"}}):
        control.call("DELETE", SERVICES + "/web", options, status=400)
    gone = control.call("DELETE", SERVICES + "/web", {"preconditions": {"uid": made["metadata"]["uid"]}, "propagationPolicy": "Foreground"})
    assert gone["status"] == "Success" and gone["details"]["uid"] == made["metadata"]["uid"]


def test_delete_collection_takes_selectors(control):
    for i in range(4):
        control.call("POST", SERVICES, make_service(f"s{i}", labels={"half": str(i % 2)}))
    control.call("DELETE", SERVICES + "?labelSelector=half%3D0")
    assert [item["metadata"]["name"] for item in control.get(SERVICES)["items"]] == ["s1", "s3"]


def test_concurrent_patches_all_count(control):
    control.call("POST", SERVICES, make_service("web"))
    def patch(i):
        for j in range(10):
            control.call("PATCH", SERVICES + "/web", {"metadata": {"labels": {f"l{i}-{j}": "x"}}}, MERGE)
    threads = [threading.Thread(target=patch, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(control.get(SERVICES + "/web")["metadata"]["labels"]) == 40


# ---- lists, tables ----

def test_lists_page_and_select(control):
    control.apply("".join(service(f"s{i:02}") for i in range(25)))
    names, token, pages = [], "", 0
    while True:
        page = control.get(f"{SERVICES}?limit=10" + (f"&continue={token}" if token else ""))
        names += [item["metadata"]["name"] for item in page["items"]]
        pages += 1
        token = page["metadata"].get("continue", "")
        if not token:
            break
        control.apply(service(f"s{pages}9x"))  # what comes between the pages is in none of them
    assert pages == 3 and names == [f"s{i:02}" for i in range(25)]
    assert len(control.get(SERVICES + "?fieldSelector=metadata.name%3Ds03")["items"]) == 1
    control.get(SERVICES + "?fieldSelector=spec.type%3Dx", status=400)
    control.get(SERVICES + "?labelSelector=a%20in%20(", status=400)
    control.get(SERVICES + "?continue=garbage", status=400)


def test_tables_and_bare_metadata(control):
    control.call("POST", SERVICES, make_service("web"))
    def get(accept, target=SERVICES):
        status, text = control.api("GET", target, headers={"accept": accept})
        assert status == 200, text
        return json.loads(text)
    table = get("application/json;as=Table;v=v1;g=meta.k8s.io")
    assert table["kind"] == "Table" and [c["name"] for c in table["columnDefinitions"]][0] == "Name"
    assert table["rows"][0]["cells"][0] == "web" and table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert get("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", SERVICES + "/web")["apiVersion"] == "meta.k8s.io/v1beta1"
    assert "object" not in get("application/json;as=Table;v=v1;g=meta.k8s.io", SERVICES + "?includeObject=None")["rows"][0]
    assert get("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")["kind"] == "PartialObjectMetadataList"
    assert control.api("GET", SERVICES, headers={"accept": "image/png"})[0] == 406


def test_discovery_of_all_groups_at_once_says_what_discovery_one_by_one_says(control):
    def get(accept, target):
        connection = UnixConnection(control.socket)
        connection.request("GET", target, headers={"accept": accept})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("vary") == "accept"
        return answer.getheader("content-type"), json.loads(answer.read())

    for version in ("v2", "v2beta1"):
        asked = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        told = {}
        for target in ("/api", "/apis"):
            content_type, body = get(f"{asked},application/json", target)
            assert content_type == asked and body["apiVersion"] == f"apidiscovery.k8s.io/{version}"
            for group in body["items"]:
                for entry in group["versions"]:
                    told[(group["metadata"].get("name", ""), entry["version"])] = entry["resources"]
        one_by_one = {("", "v1"): "/api/v1"} | {(group["name"], v["version"]): f"/apis/{v['groupVersion']}"
                                                for group in control.get("/apis")["groups"] for v in group["versions"]}
        assert set(told) == set(one_by_one)
        for at, target in one_by_one.items():
            names = {r["name"]: r for r in control.get(target)["resources"]}
            all_names = {r["resource"] for r in told[at]} | {f"{r['resource']}/{s['subresource']}" for r in told[at] for s in r.get("subresources", [])}
            assert set(names) == all_names
            for r in told[at]:
                assert (r["scope"] == "Namespaced") == names[r["resource"]]["namespaced"] and r["verbs"] == names[r["resource"]]["verbs"]
    assert get("application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "/apis")[1]["kind"] == "APIGroupList"
    assert get("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json", "/apis")[1]["kind"] == "APIGroupList"


@pytest.mark.parametrize("query, status", [
    ("resourceVersion=0", 200), ("resourceVersion=0&resourceVersionMatch=NotOlderThan", 200), ("resourceVersion=1&resourceVersionMatch=Exact", 410),
    ("resourceVersion=0&resourceVersionMatch=Exact", 400), ("resourceVersionMatch=Exact", 400), ("resourceVersion=1&resourceVersionMatch=Foo", 400),
    ("resourceVersion=x", 400), ("resourceVersion=99999999", 504), ("watch=1&resourceVersionMatch=NotOlderThan", 400),
    ("watch=1&sendInitialEvents=true", 400), ("watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", 400),
    ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=99999999", 504)])
def test_revisions_of_lists_are_taken_as_in_kubernetes(control, query, status):
    control.call("POST", SERVICES, make_service("web"))
    control.get(f"{SERVICES}?{query}", status=status)


def test_a_get_may_ask_for_a_revision_too(control):
    made = control.call("POST", SERVICES, make_service("web"))
    control.get(f"{SERVICES}/web?resourceVersion={made['metadata']['resourceVersion']}")
    control.get(f"{SERVICES}/web?resourceVersion=99999999", status=504)


# ---- protobuf ----

PROTO = "application/vnd.kubernetes.protobuf"
# As kubectl 1.33 sends them.
PROTO_NAMESPACE = "6b3873000a0f0a02763112094e616d657370616365121c0a140a0473686f7012001a0022002a0032003800420012001a020a001a002200"
PROTO_SECRET = "6b3873000a0c0a0276311206536563726574121d0a110a017312001a0022002a0032003800420012060a01611201621a001a002200"
PROTO_CAN_I = ("6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a65637441636365737352657669657712400a10"
               "0a0012001a0022002a0032003800420012220a200a0764656661756c7412036765741a0022002a08736572766963657332003a001a08080012001a00"
               "20001a002200")


def test_what_typed_clients_send_in_protobuf_is_taken(control):
    made = control.call("POST", "/api/v1/namespaces?fieldManager=kubectl-create&fieldValidation=Strict", bytes.fromhex(PROTO_NAMESPACE), PROTO, status=201)
    assert made["metadata"]["name"] == "shop" and made["kind"] == "Namespace"
    assert control.call("POST", SECRETS, bytes.fromhex(PROTO_SECRET), PROTO, status=201)["data"] == {"a": "Yg=="}
    answer = control.call("POST", REVIEWS + "/selfsubjectaccessreviews", bytes.fromhex(PROTO_CAN_I), PROTO, status=201)
    assert answer["status"] == {"allowed": True}


def test_protobuf_that_is_not_understood_is_refused(control):
    control.call("POST", SERVICES, b"{}", PROTO, status=400)
    control.call("POST", SERVICES, bytes.fromhex(PROTO_NAMESPACE), PROTO, status=400)
    control.call("POST", SERVICES, bytes.fromhex(PROTO_NAMESPACE)[:-30], PROTO, status=400)
    control.call("PUT", "/api/v1/namespaces/default/status", bytes.fromhex(PROTO_NAMESPACE), PROTO, status=415)
    control.api("GET", SERVICES, headers={"accept": f"{PROTO},application/json"})
    assert control.api("GET", SERVICES, headers={"accept": PROTO})[0] == 406


# ---- watches ----

class Watch:
    def __init__(self, control, target):
        self.connection = UnixConnection(control.socket)
        self.connection.request("GET", target)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()

    def next(self):
        line = self.answer.readline()
        return json.loads(line) if line else None

    def close(self):
        self.connection.close()


def test_watch_tells_changes_in_order(control):
    first = control.call("POST", SERVICES, make_service("web"))
    watch = Watch(control, f"{SERVICES}?watch=true&resourceVersion={first['metadata']['resourceVersion']}")
    control.call("POST", SERVICES, make_service("later"))
    control.call("PATCH", SERVICES + "/web", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    control.call("DELETE", SERVICES + "/later")
    events = [watch.next() for _ in range(3)]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "later"), ("MODIFIED", "web"), ("DELETED", "later")]
    revisions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert revisions == sorted(revisions)
    watch.close()


def test_watch_without_revision_begins_with_what_is_there_and_ends_in_time(control):
    control.call("POST", SERVICES, make_service("web"))
    watch = Watch(control, f"{SERVICES}?watch=1&timeoutSeconds=1")
    assert watch.next()["type"] == "ADDED"
    assert watch.next() is None


def test_a_list_comes_as_a_stream_that_says_where_it_ends(control):
    control.apply(service("a") + service("b"))
    asked = f"{SERVICES}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    watch = Watch(control, asked)
    assert {watch.next()["object"]["metadata"]["name"] for _ in range(2)} == {"a", "b"}
    end = watch.next()
    assert end["type"] == "BOOKMARK" and end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(end["object"]["metadata"]["resourceVersion"]) >= control.get("/selvedge/v1/revisions")["head"]
    control.call("POST", SERVICES, make_service("later"))
    assert watch.next()["object"]["metadata"]["name"] == "later"
    watch.close()
    none = Watch(control, asked + "&labelSelector=no%3Dsuch")
    assert none.next()["type"] == "BOOKMARK"
    none.close()


def test_a_watch_without_initial_events_begins_now(control):
    control.call("POST", SERVICES, make_service("web"))
    watch = Watch(control, f"{SERVICES}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    control.call("POST", SERVICES, make_service("later"))
    assert watch.next()["object"]["metadata"]["name"] == "later"
    watch.close()


def test_watch_follows_selectors(control):
    watch = Watch(control, f"{SERVICES}?watch=true&labelSelector=a%3Db")
    control.call("POST", SERVICES, make_service("web"))
    control.call("PATCH", SERVICES + "/web", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    control.call("PATCH", SERVICES + "/web", {"metadata": {"labels": {"a": "c"}}}, MERGE)
    assert [watch.next()["type"] for _ in range(2)] == ["ADDED", "DELETED"]
    watch.close()


def test_watch_ends_when_the_token_is_revoked(control):
    token = control.make_token("temp", "viewer")
    context = ssl.create_default_context(cafile=str(control.data / "ca.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", control.port, context=context, timeout=10)
    connection.request("GET", f"{SERVICES}?watch=true", headers={"authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert answer.status == 200
    control.api("DELETE", "/selvedge/v1/tokens/temp")
    assert answer.readline() == b""


def test_watches_end_with_the_process(control):
    watch = Watch(control, f"{SERVICES}?watch=true")
    control.process.signal(15)
    assert watch.next() is None
    assert control.process.wait() == 0


def test_watch_refuses_what_it_does_not_do(control):
    control.get(SERVICES + "?watch=true&resourceVersion=abc", status=400)
    control.get(SERVICES + "?watch=true&resourceVersion=999999", status=504)


# ---- access ----

def test_roles(control):
    viewer, editor = control.make_token("v", "viewer"), control.make_token("e", "editor")
    assert tls_call(control, "GET", SERVICES)[0] == 401
    assert tls_call(control, "GET", SERVICES, "sv_wrong")[0] == 401
    assert tls_call(control, "GET", "/version")[0] == 200 and tls_call(control, "GET", "/healthz")[0] == 200
    assert tls_call(control, "GET", SERVICES, viewer)[0] == 200
    status, text = tls_call(control, "POST", SERVICES, viewer, make_service("web"))
    assert status == 403 and "editor" in text
    assert tls_call(control, "POST", SERVICES, editor, make_service("web"))[0] == 201
    assert tls_call(control, "GET", "/selvedge/v1/tokens", editor)[0] == 403
    assert tls_call(control, "GET", "/selvedge/v1/audit", editor)[0] == 403
    assert tls_call(control, "DELETE", "/apis/selvedge.dev/v1alpha1/nodes/local", editor)[0] == 403
    assert json.loads(tls_call(control, "GET", "/selvedge/v1/whoami", viewer)[1])["role"] == "viewer"

    def refused():
        return {entry["actor"] for entry in control.get("/selvedge/v1/audit")["items"] if entry["status"] in (401, 403)}
    wait_until("all of them in the audit log", lambda: refused() >= {"anonymous", "token:v", "token:e"})


@pytest.mark.parametrize("text", ["80.0", "8e1", "80"])
def test_integers_are_kept_as_integers(control, text):
    """Clients with typed numbers (kubectl describe, the Python client) cannot read 80.0."""
    body = '{"apiVersion":"v1","kind":"Service","metadata":{"name":"n"},"spec":{"ports":[{"port":%s,"targetPort":%s}]}}' % (text, text)
    assert control.api("POST", SERVICES, body)[0] == 201
    assert '"port":80,' in control.api("GET", SERVICES + "/n")[1] and '"targetPort":80' in control.api("GET", SERVICES + "/n")[1]


def test_tokens_stay_in_their_namespaces(control):
    control.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    token = control.make_token("shop", "editor", namespaces=["shop"])
    assert tls_call(control, "GET", "/apis", token)[0] == 200
    assert tls_call(control, "POST", "/api/v1/namespaces/shop/services", token, make_service("web"))[0] == 201
    assert tls_call(control, "POST", SERVICES, token, make_service("web"))[0] == 403
    assert tls_call(control, "GET", "/api/v1/services", token)[0] == 403
    assert tls_call(control, "GET", "/selvedge/v1/revisions", token)[0] == 403
    assert tls_call(control, "POST", "/selvedge/v1/apply", token, make_service("b", namespace="default"))[0] == 403
    assert tls_call(control, "POST", "/selvedge/v1/apply", token, make_service("b", namespace="shop"))[0] == 200


def test_viewers_do_not_see_secrets(control):
    control.call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}})
    control.call("PATCH", "/api/v1/namespaces/default/secrets/s",
                 {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "aHVudGVyMg"}}}, MERGE)
    viewer = control.make_token("v", "viewer")
    for accept in ("application/json", YAML, "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"):
        for target in ("/api/v1/namespaces/default/secrets/s", "/api/v1/secrets?includeObject=Object"):
            status, text = tls_call(control, "GET", target, viewer, headers={"accept": accept})
            assert status == 200 and "aHVudGVyMg" not in text and "hunter2" not in text
    for target in ("/selvedge/v1/revisions/3?include=objects", "/selvedge/v1/diff?from=2&include=objects"):
        assert "aHVudGVyMg" not in control.api("GET", target)[1]
    assert control.get("/api/v1/namespaces/default/secrets/s")["data"]["password"] == "aHVudGVyMg=="


def test_pages_of_other_origins_change_nothing(control):
    body = make_service("web")
    assert tls_call(control, "POST", SERVICES, control.token, body, {"origin": "https://evil.example"})[0] == 403
    assert tls_call(control, "POST", SERVICES, control.token, body, {"origin": "null"})[0] == 403
    assert tls_call(control, "POST", SERVICES, control.token, body, {"content-type": "text/plain"})[0] == 415
    assert tls_call(control, "POST", SERVICES, control.token, body, {"origin": f"https://127.0.0.1:{control.port}"})[0] == 201


def can_i(control, token, verb, resource, namespace="", **more):
    attributes = {"verb": verb, "resource": resource.partition(".")[0], "group": resource.partition(".")[2], "namespace": namespace, **more}
    status, text = tls_call(control, "POST", REVIEWS + "/selfsubjectaccessreviews", token, {"spec": {"resourceAttributes": attributes}})
    assert status == 201, text
    return json.loads(text)["status"]["allowed"]


def test_reviews_tell_what_the_caller_may(control):
    viewer, editor = control.make_token("v", "viewer"), control.make_token("e", "editor", namespaces=["shop"])
    assert can_i(control, control.token, "*", "*.*") and can_i(control, control.token, "delete", "nodes.selvedge.dev")
    assert can_i(control, viewer, "watch", "services", "default") and not can_i(control, viewer, "create", "services", "default")
    assert can_i(control, editor, "deletecollection", "httproutes.gateway.networking.k8s.io", "shop")
    assert can_i(control, editor, "patch", "gateways.gateway.networking.k8s.io", "shop", subresource="status")
    assert not can_i(control, editor, "get", "services", "shop", subresource="scale")
    assert not can_i(control, editor, "get", "services", "default") and not can_i(control, editor, "get", "services")
    assert can_i(control, editor, "get", "namespaces", name="shop") and not can_i(control, editor, "list", "namespaces", name="shop")
    assert not can_i(control, editor, "*", "*.*", "shop") and not can_i(control, control.token, "get", "pods")
    def may_get(token, path):
        return json.loads(tls_call(control, "POST", REVIEWS + "/selfsubjectaccessreviews", token,
                                   {"spec": {"nonResourceAttributes": {"path": path, "verb": "get"}}})[1])["status"]["allowed"]
    assert may_get(viewer, "/selvedge/v1/revisions") and not may_get(editor, "/selvedge/v1/revisions")
    assert not may_get(viewer, "/selvedge/v1/audit") and may_get(control.token, "/selvedge/v1/audit") and may_get(viewer, "/healthz")
    assert not may_get(control.token, "/nothing")


def test_reviews_list_rules_and_name_the_caller(control):
    editor = control.make_token("e", "editor", namespaces=["shop"])
    body = json.loads(tls_call(control, "POST", REVIEWS + "/selfsubjectrulesreviews", editor, {"spec": {"namespace": "shop"}})[1])
    rules = {(rule["apiGroups"][0], resource): rule["verbs"] for rule in body["status"]["resourceRules"] for resource in rule["resources"]
             if "resourceNames" not in rule}
    assert "create" in rules[("", "services")] and ("selvedge.dev", "nodes") not in rules
    named = [rule for rule in body["status"]["resourceRules"] if "resourceNames" in rule]
    assert named == [{"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["shop"]}]
    elsewhere = json.loads(tls_call(control, "POST", REVIEWS + "/selfsubjectrulesreviews", editor, {"spec": {"namespace": "default"}})[1])
    assert all("services" not in rule["resources"] for rule in elsewhere["status"]["resourceRules"])
    me = json.loads(tls_call(control, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", editor, {})[1])
    assert me["status"]["userInfo"] == {"username": "token:e", "groups": ["role:editor"], "extra": {"namespaces": ["shop"]}}
    assert tls_call(control, "POST", REVIEWS + "/selfsubjectaccessreviews", None, {"spec": {}})[0] == 401
    control.call("POST", REVIEWS + "/selfsubjectaccessreviews", {"spec": {}}, status=422)
    control.call("POST", REVIEWS + "/selfsubjectaccessreviews", {"kind": "Service"}, status=400)

    def refusals():
        return [entry for entry in control.get("/selvedge/v1/audit")["items"] if entry["status"] == 401]
    wait_until("the refusal in the audit log", refusals)
    before = len(control.get("/selvedge/v1/audit")["items"])
    control.call("POST", REVIEWS + "/selfsubjectrulesreviews", {"spec": {}}, status=201)
    assert len(control.get("/selvedge/v1/audit")["items"]) == before, "a question is no write"


# ---- bulk apply, history ----

def test_apply_is_one_revision_all_or_nothing(control):
    before = control.get("/selvedge/v1/revisions")["head"]
    bad = control.apply(GATEWAY + service() + service("bad", port=70000) + route(), status=422)
    assert "1 of 4" in bad["message"] and bad["details"]["causes"][0]["field"] == "service/bad spec.ports[0].port"
    assert [r["result"] for r in bad["results"]].count("refused") == 1
    control.get(SERVICES + "/web", status=404)
    done = control.apply(GATEWAY + service() + route(), "?message=first%20try")
    assert [r["result"] for r in done["results"]] == ["created"] * 3
    newest = [r for r in control.get("/selvedge/v1/revisions")["items"] if r["message"] == "first try"]
    assert len(newest) == 1 and newest[0]["changes"] == 3 and newest[0]["revision"] == done["revision"] > before
    again = control.apply(GATEWAY + service() + route())
    assert [r["result"] for r in again["results"]] == ["unchanged"] * 3


def test_apply_brings_its_namespaces(control):
    control.apply(service(namespace="shop"), status=404)
    control.apply(service(namespace="shop") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")


def test_apply_prunes_what_its_owner_left_out(control):
    control.apply(service("a") + service("b"), "?owner=git")
    control.apply(service("c"))
    done = control.apply(service("a"), "?owner=git&prune=true")
    assert {r["name"]: r["result"] for r in done["results"]} == {"a": "unchanged", "b": "pruned"}
    assert [item["metadata"]["name"] for item in control.get(SERVICES)["items"]] == ["a", "c"]
    control.apply(service("a"), "?prune=true", status=400)
    for nothing in ("", "---\n# nothing\n", "[]"):
        assert "no objects" in control.apply(nothing, "?owner=git&prune=true", status=400)["message"]
    control.get(SERVICES + "/a")


def test_apply_dry_run_tells_the_changes(control):
    control.apply(route())
    done = control.apply(route(hostname="b.example"), "?dryRun=All")
    assert done["results"][0]["changes"][0]["path"] == "spec.hostnames[0]"
    assert control.get(ROUTES + "/web")["spec"]["hostnames"] == ["a.example"]


def test_apply_on_an_expected_head(control):
    head = control.apply(service("a"))["revision"]
    control.apply(service("b"), f"?expectedHead={head}")
    control.apply(service("c"), f"?expectedHead={head}", status=409)


def test_apply_does_not_take_others_fields_without_force(control):
    control.apply(service(port=80), "?fieldManager=git")
    control.call("PATCH", SERVICES + "/web", {"spec": {"ports": [{"name": "other", "port": 80}]}}, MERGE)
    conflict = control.apply(service(port=80), "?fieldManager=git", status=409)
    assert conflict["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    control.apply(service(port=80), "?fieldManager=git&force=true")
    assert control.get(SERVICES + "/web")["spec"]["ports"][0]["name"] == "http"


def test_history_diff_and_rollback(control):
    first = control.apply(GATEWAY + service() + route(), "?message=one")["revision"]
    second = control.apply(route(hostname="b.example") + service("new"), "?message=two")["revision"]
    shown = control.get(f"/selvedge/v1/revisions/{second}")
    assert shown["message"] == "two" and {i["op"] for i in shown["items"]} == {"create", "update"}
    diff = control.get(f"/selvedge/v1/diff?from={first}&to={second}")
    by_name = {item["name"]: item for item in diff["items"]}
    assert by_name["web"]["changes"][0] == {"path": "spec.hostnames[0]", "op": "replace", "from": "a.example", "to": "b.example"}
    assert by_name["new"]["op"] == "create"
    back = control.get(f"/selvedge/v1/diff?from={second}&to={first}")
    assert {item["name"]: item["op"] for item in back["items"]} == {"web": "update", "new": "delete"}
    control.call("POST", "/selvedge/v1/rollback", {"revision": first, "kind": "httproute", "name": "web"})
    assert control.get(ROUTES + "/web")["spec"]["hostnames"] == ["a.example"]
    control.get(SERVICES + "/new")
    control.call("POST", "/selvedge/v1/rollback", {"revision": first, "message": "undo"})
    control.get(SERVICES + "/new", status=404)
    control.call("POST", "/selvedge/v1/rollback", {"revision": second})
    assert control.get(ROUTES + "/web")["spec"]["hostnames"] == ["b.example"]
    control.call("POST", "/selvedge/v1/rollback", {"revision": 10 ** 6}, status=422)
    history = control.get("/selvedge/v1/revisions?kind=httproute&name=web")["items"]
    assert len(history) == 4


@pytest.mark.parametrize("call, body, why", [
    ("rollback", {"revision": 1, "dryRun": True}, 'unknown field "dryRun"'), ("rollback", {"revision": 1, "kind": 5}, "kind: must be of type string"),
    ("tokens", {"name": "t", "namespace": "shop"}, 'unknown field "namespace"'), ("tokens", {"name": "t", "namespaces": []}, "namespaces: must name"),
    ("tokens", {"name": "t", "namespaces": "shop"}, "namespaces: must be of type array"), ("tokens", {"name": "t", "ttlSeconds": "60"}, "ttlSeconds: must be"),
    ("tokens", {"name": "t", "ttlSeconds": 1.5}, "ttlSeconds: must be an integer"), ("join-tokens", {"use": 1}, 'unknown field "use"'),
    ("join-tokens", {"uses": "1"}, "uses: must be an integer"), ("explain", {"url": "http://a/", "header": {}}, 'unknown field "header"'),
    ("explain", {"url": "http://a/", "port": 70000}, "port: must be between"), ("backup", {"file": "/x"}, 'unknown field "file"')])
def test_bodies_of_our_own_calls_are_read_strictly(control, call, body, why):
    control.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    status, text = control.api("POST", "/selvedge/v1/" + call, body)
    assert status == 422 and why in json.loads(text)["message"], text
    control.get("/api/v1/namespaces/shop")
    assert control.get("/selvedge/v1/join-tokens")["items"] == [] and [t["name"] for t in control.get("/selvedge/v1/tokens")["items"]] == ["admin"]


def test_rollback_brings_back_what_was_deleted(control):
    rev = control.apply("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n" + service(namespace="shop"))["revision"]
    control.call("DELETE", "/api/v1/namespaces/shop")
    control.get("/api/v1/namespaces/shop/services/web", status=404)
    control.call("POST", "/selvedge/v1/rollback", {"revision": rev})
    assert control.get("/api/v1/namespaces/shop/services/web")["metadata"]["generation"] == 1


def test_rollback_of_a_namespace_alone_leaves_nothing_behind(control):
    before = control.get("/selvedge/v1/revisions?limit=1")["items"][0]["revision"]
    control.apply("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n" + service(namespace="shop"))
    status, text = control.api("POST", "/selvedge/v1/rollback", {"revision": before, "kind": "namespace", "name": "shop"})
    assert status == 409 and "would be left behind" in text, text
    control.call("DELETE", "/api/v1/namespaces/shop/services/web")
    control.call("POST", "/selvedge/v1/rollback", {"revision": before, "kind": "namespace", "name": "shop"})
    control.get("/api/v1/namespaces/shop", status=404)


def test_revisions_are_compiled_and_explained(control):
    rev = control.apply(GATEWAY + service() + route())["revision"]
    status = control.get(f"/selvedge/v1/revisions/{rev}/status?wait=20")
    assert status["compiled"] and status["complete"] and status["synced"] == 0
    told = control.call("POST", "/selvedge/v1/explain", {"url": "http://a.example:8080/x?y=1", "headers": {"X-A": "b"}})
    assert told["route"] == "httproute/default/web"
    assert control.get("/selvedge/v1/explain?url=http://nobody.example:8080/")["outcome"] == "no route"
    control.get("/selvedge/v1/explain?url=http://a.example:9/", status=404)
    control.get("/selvedge/v1/explain?url=nonsense", status=422)


def test_what_was_just_applied_is_explained(control):
    control.apply(GATEWAY + service() + route())
    for number in range(5):
        rev = control.apply(route(hostname=f"h{number}.example"))["revision"]
        told = control.get(f"/selvedge/v1/explain?url=http://h{number}.example:8080/")
        assert told["route"] == "httproute/default/web" and told["revision"] >= rev


def test_a_pair_that_does_not_belong_together_is_refused_while_the_old_one_serves(control, tmp_path):
    one, other = make_certificate(tmp_path, "a.test"), make_certificate(tmp_path, "b.test")
    control.apply(tls_secret("tls", one))
    for pair in ((one[0], other[1]), (other[0], one[1])):
        status, text = control.api("POST", "/selvedge/v1/apply", tls_secret("tls", pair), YAML)
        assert status == 422 and "data: Invalid value: tls.crt and tls.key: key does not match certificate" in text, text
    assert base64.b64decode(control.get(SECRETS + "/tls")["data"]["tls.key"]).decode() == one[1]


def test_idempotency_key_returns_the_first_result(control):
    headers = {"idempotency-key": "k1"}
    first = control.call("POST", "/selvedge/v1/apply", service(), YAML, headers=headers)
    control.call("DELETE", SERVICES + "/web")
    again = control.call("POST", "/selvedge/v1/apply", service(), YAML, headers=headers)
    assert again["revision"] == first["revision"]


def test_audit_is_whole_and_backup_is_made(control):
    control.apply(service(), "?message=hello")
    entries = control.get("/selvedge/v1/audit")["items"]
    assert any(e["verb"] == "apply" and e["message"] == "hello" and e["revision"] for e in entries)
    assert control.get("/selvedge/v1/audit/verify") == {"whole": True}
    made = control.call("POST", "/selvedge/v1/backup", {})
    assert made["bytes"] > 0 and made["path"].startswith(str(control.data))


def test_everything_is_there_after_a_kill(control):
    revision = control.apply(GATEWAY + service() + route())["revision"]
    control.process.kill()
    control.start()
    assert control.get("/selvedge/v1/revisions")["head"] >= revision
    assert control.get(ROUTES + "/web")["spec"]["hostnames"] == ["a.example"]
    watch = Watch(control, f"{SERVICES}?watch=true&resourceVersion=1&timeoutSeconds=1")
    assert watch.next()["object"]["metadata"]["name"] == "web"
    watch.close()


def test_many_objects_list_quickly_enough_to_use(control):
    control.apply("".join(service(f"s{i}") for i in range(2000)))
    assert len(control.get(SERVICES)["items"]) == 2000
    wait_until("statuses", lambda: control.get("/selvedge/v1/revisions")["head"] > 0)
