"""Who is let in, and what strangers cost: bodies, lock-out, tokens that are made and revoked, watches of those who lost theirs."""
import contextlib
import http.client
import json
import ssl
import time

import pytest

from lib.node import Node, tls_socket
from lib.process import in_parallel, wait_until

SERVICES = "/api/v1/namespaces/default/services"
TOKENS = "/selvedge/v1/tokens"
JOIN = "/selvedge/v1/join"


def test_an_editor_does_not_put_nodes_out_by_pruning(control):
    """Node objects are for administrators, whichever way they would be deleted."""
    nodes = "/apis/selvedge.dev/v1alpha1/nodes"
    assert Node(control).join(control.call("POST", "/selvedge/v1/join-tokens", {})["token"])[0] == 200
    control.call("PATCH", f"{nodes}/edge-2", {"metadata": {"labels": {"selvedge.dev/owner": "git"}}}, "application/merge-patch+json")
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    editor, target = {"authorization": f"Bearer {control.make_token('e', 'editor')}"}, "/selvedge/v1/apply?owner=git&prune=true"
    status, text = control.api("POST", target, namespace, "application/yaml", editor)
    assert status == 403 and "nodes" in text, text
    assert control.get(f"{nodes}/edge-2")["metadata"]["name"] == "edge-2"


# ---- bodies of strangers ----

def head(method, target, length, token=None, more=""):
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{authorization}{framing}\r\n{more}\r\n".encode()


def first_line(control, data):
    """The status line that comes for these bytes and no more."""
    with tls_socket(control) as sock:
        sock.sendall(data)
        return sock.makefile("rb").readline().decode().split()[1]


EXPECT = "expect: 100-continue\r\n"


@pytest.mark.parametrize("what, status", [("nobody", "401"), ("wrong", "401"), ("viewer", "403"), ("shop", "403"), ("admin", "100")])
def test_the_caller_is_known_before_the_body_is_asked_for(control, what, status):
    if what == "shop":
        control.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    token = {"nobody": None, "wrong": "sv_wrong", "admin": control.token}.get(what)
    token = control.make_token("v", "viewer") if what == "viewer" else token
    token = control.make_token("s", "editor", namespaces=["shop"]) if what == "shop" else token
    assert first_line(control, head("POST", SERVICES, 100, token, EXPECT)) == status
    if status != "100":  # without asking too: of three megabytes announced, none is waited for
        assert first_line(control, head("POST", SERVICES, 3_000_000, token)) == status


@pytest.mark.parametrize("target", ["/selvedge/v1/apply", TOKENS, "/selvedge/v1/nodes/edge-2/status", "/selvedge/v1/nodes/edge-2/certificate"])
def test_nobody_s_body_is_not_waited_for(control, target):
    assert first_line(control, head("POST", target, 100)) == "401"


def locked_out(control, attempt):
    """Whether the attempt is refused with 429. The first waits are short: it is guessed again until it falls into one."""
    def is_refused():
        first_line(control, head("POST", SERVICES, 100, "sv_wrong"))
        return attempt() == 429
    return wait_until("the lock-out", is_refused)


def test_a_locked_out_address_is_told_so_before_its_body(control):
    assert {first_line(control, head("POST", SERVICES, 100, "sv_wrong")) for _ in range(11)} == {"401"}
    assert locked_out(control, lambda: int(first_line(control, head("POST", SERVICES, 100, control.token))))
    assert locked_out(control, lambda: int(first_line(control, head("POST", JOIN, 100))))
    assert first_line(control, head("POST", SERVICES, 100)) == "401"  # nobody's credentials are nobody's guess


def test_a_join_is_small(control):
    assert first_line(control, head("POST", JOIN, 16 * 1024, more=EXPECT)) == "100"
    assert first_line(control, head("POST", JOIN, 16 * 1024 + 1)) == "413"
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    assert first_line(control, head("POST", JOIN, None) + 5 * chunk) == "413"
    assert first_line(control, head("GET", "/healthz", 10)) == "413"


def test_joins_that_never_end_leave_room_for_others(control):
    """4 MiB are kept of strangers' bodies, all together."""
    with contextlib.ExitStack() as stack:
        for _ in range(280):
            sock = stack.enter_context(tls_socket(control))
            sock.sendall(head("POST", JOIN, 16 * 1024) + b" " * (16 * 1024 - 1))
        assert first_line(control, head("POST", JOIN, 16 * 1024) + b" " * (16 * 1024)) == "503"
        big = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "big", "annotations": {"a": "x" * 200_000}}, "spec": {"ports": [{"port": 80}]}}
        body = json.dumps(big).encode()
        assert first_line(control, head("POST", SERVICES, len(body), control.token) + body) == "201"
    token = control.call("POST", "/selvedge/v1/join-tokens", {})["token"]
    wait_until("the connections just closed to be noticed", lambda: Node(control).join(token)[0] == 200)


# ---- lock-out ----

def test_wrong_join_tokens_lock_out_too(control):
    assert {Node(control).join("sj_wrong")[0] for _ in range(11)} == {401}
    wait_until("the lock-out", lambda: Node(control).join("sj_wrong")[0] == 429)
    token = control.call("POST", "/selvedge/v1/join-tokens", {"uses": 100})["token"]
    assert locked_out(control, lambda: Node(control).join(token)[0])
    assert locked_out(control, lambda: int(first_line(control, head("GET", SERVICES, 0, control.token))))
    assert control.api("GET", SERVICES)[0] == 200  # the socket is nobody's address


def test_guesses_at_the_socket_lock_nobody_out(control):
    wrong = {"authorization": "Bearer sv_wrong"}
    assert {control.api("GET", SERVICES, headers=wrong)[0] for _ in range(30)} == {401}
    assert control.api("GET", SERVICES, headers={"authorization": f"Bearer {control.token}"})[0] == 200


# ---- tokens ----

def listed(control):
    return sorted(item["name"] for item in control.get(TOKENS)["items"])


def test_of_twenty_creates_of_one_name_one_is_made(control):
    answers = in_parallel(20, lambda i: control.api("POST", TOKENS, {"name": "ci", "role": "viewer"}))
    statuses = sorted(status for status, _ in answers)
    assert statuses == [201] + [409] * 19
    token = next(json.loads(text)["token"] for status, text in answers if status == 201)
    bearer = {"authorization": f"Bearer {token}"}
    assert control.api("GET", SERVICES, headers=bearer)[0] == 200
    control.process.kill()
    control.start()
    assert control.api("GET", SERVICES, headers=bearer)[0] == 200 and listed(control) == ["admin", "ci"]


def test_racing_creates_and_revokes_leave_one_truth(control):
    """What is in memory is what is in the store, whoever came first."""
    made = []

    def work(i):
        for turn in range(8):
            name = f"t{(i + turn) % 3}"
            if (i + turn) % 2:
                status, text = control.api("POST", TOKENS, {"name": name, "role": "viewer"})
                assert status in (201, 409), text
                made.extend([json.loads(text)["token"]] if status == 201 else [])
            else:
                assert control.api("DELETE", f"{TOKENS}/{name}")[0] in (204, 404)
    in_parallel(16, work)

    def valid():
        return [control.api("GET", SERVICES, headers={"authorization": f"Bearer {token}"})[0] == 200 for token in made]
    before = (listed(control), valid())
    assert sum(before[1]) == len(before[0]) - 1  # one text a name, and the administrator's
    control.process.kill()
    control.start()
    assert (listed(control), valid()) == before


# ---- those who lose their token while they watch ----

def watch(control, token):
    connection = http.client.HTTPSConnection("127.0.0.1", control.port, context=tls_context(control), timeout=20)
    connection.request("GET", f"{SERVICES}?watch=true", headers={"authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer


def tls_context(control):
    return ssl.create_default_context(cafile=str(control.data / "ca.crt"))


def lose(control, how):
    token = control.make_token("temp", "admin", **({"ttlSeconds": 2} if how == "expired" else {}))
    connection, answer = watch(control, token)
    if how != "expired":
        assert control.api("DELETE", f"{TOKENS}/temp")[0] == 204
    if how == "downgraded":
        control.make_token("temp", "viewer")
    return token, connection, answer


@pytest.mark.parametrize("how", ["revoked", "expired", "downgraded"])
def test_a_watch_ends_with_its_token(control, how, record_property):
    token, connection, answer = lose(control, how)
    since = time.monotonic()
    assert answer.readline() == b""
    record_property("figures", f"{how}: the watch ended after {(time.monotonic() - since) * 1000:.0f} ms")
    connection.close()
    assert first_line(control, head("GET", SERVICES, 0, token)) == "401"


def test_a_body_in_the_making_does_not_outlive_its_token(control):
    token = control.make_token("temp", "editor")
    body = json.dumps({"metadata": {"name": "late"}, "spec": {"ports": [{"port": 80}]}}).encode()
    with tls_socket(control) as sock:
        sock.sendall(head("POST", SERVICES, len(body), token, EXPECT))
        answer = sock.makefile("rb")
        assert answer.readline().split()[1] == b"100" and answer.readline() == b"\r\n"
        assert control.api("DELETE", f"{TOKENS}/temp")[0] == 204
        sock.sendall(body)
        assert answer.readline().split()[1] == b"401"
    assert control.api("GET", f"{SERVICES}/late")[0] == 404
