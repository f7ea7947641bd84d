"""Joining as an attacker would, certificates no authority should have signed, and enrolments that end."""
import base64
import datetime
import json
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lib.control import Control
from lib.gateway import api_call
from lib.node import DOMAIN, Authority, Node, make_csr, new_key, self_signed
from lib.process import BIN, Process, free_port, in_parallel, wait_until

JOIN_TOKENS = "/selvedge/v1/join-tokens"
NODES = "/apis/selvedge.dev/v1alpha1/nodes"
MINUTE = datetime.timedelta(minutes=1)


def make_token(control, **fields):
    return control.call("POST", JOIN_TOKENS, fields)["token"]


@pytest.fixture
def node(control):
    made = Node(control)
    status, answer = made.join(make_token(control))
    assert status == 200, answer
    return made


def uid_of(control, name="edge-2"):
    return control.get(f"{NODES}/{name}")["metadata"]["uid"]


# ---- join tokens ----

def test_of_twenty_joins_with_one_token_one_succeeds(control):
    token = make_token(control)
    nodes = [Node(control, f"edge-{i}") for i in range(20)]
    statuses = in_parallel(20, lambda i: nodes[i].join(token)[0])
    assert sorted(statuses)[0] == 200 and statuses.count(200) == 1 and set(statuses) <= {200, 401, 409, 429}
    joined = [node for node in nodes if node.cert]
    names = [item["metadata"]["name"] for item in control.get(NODES)["items"]]
    assert [name for name in names if name != "local"] == [joined[0].name]

    def told():
        entries = [entry for entry in control.get("/selvedge/v1/audit?limit=200")["items"] if entry["target"] == "/selvedge/v1/join"]
        return sorted(entry["status"] for entry in entries) == sorted(statuses)
    wait_until("every one of them in the audit log", told)


def test_of_twenty_joins_under_one_name_one_is_the_node(control):
    token = make_token(control, uses=20)
    nodes = [Node(control) for _ in range(20)]
    statuses = in_parallel(20, lambda i: nodes[i].join(token)[0])
    assert statuses.count(200) == 1 and set(statuses) <= {200, 409}
    assert next(node for node in nodes if node.cert).status() in (200, 503)


def revoked(control):
    made = control.call("POST", JOIN_TOKENS, {})
    assert control.api("DELETE", f"{JOIN_TOKENS}/{made['id']}")[0] == 204
    return made["token"]


def used(control):
    token = make_token(control)
    assert Node(control, "first").join(token)[0] == 200
    return token


@pytest.mark.parametrize("make, status, why", [
    (revoked, 401, "not valid"), (used, 401, "used up"), (lambda c: make_token(c, node="edge-9"), 403, "edge-9"),
    (lambda c: c.token, 401, "not valid"), (lambda c: "", 401, "not valid")], ids=["revoked", "used", "other node", "api token", "empty"])
def test_tokens_that_do_not_let_in(control, make, status, why):
    node = Node(control)
    got, answer = node.join(make(control))
    assert got == status and why in answer["message"] and node.cert is None
    assert control.api("GET", f"{NODES}/edge-2")[0] == 404


def is_past(text):
    """Times are told in whole seconds."""
    until = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) + datetime.timedelta(seconds=1)
    return until < datetime.datetime.now(datetime.timezone.utc)


def test_an_expired_token_does_not_let_in(control):
    token = make_token(control, ttlSeconds=1)
    wait_until("it to expire", lambda: is_past(control.get(JOIN_TOKENS)["items"][0]["expires"]))
    status, answer = Node(control).join(token)
    assert status == 401 and "expired" in answer["message"]


# ---- requests ----

def test_only_the_key_of_a_request_counts(control):
    node = Node(control)
    names = [x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}/node/local"), x509.DNSName("localhost")]
    csr = make_csr(node.key, (x509.SubjectAlternativeName(names), False), (x509.BasicConstraints(True, None), True),
                   (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False))
    assert node.join(make_token(control), csr)[0] == 200
    cert = x509.load_pem_x509_certificate(node.cert.encode())
    granted = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in granted] == [f"spiffe://{DOMAIN}/node/edge-2"]
    assert cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert [a.value for a in cert.subject.get_attributes_for_oid(NameOID.USER_ID)] == [uid_of(control)]


def broken_signature(key):
    der = bytearray(x509.load_pem_x509_csr(make_csr(key).encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.encodebytes(bytes(der)).decode()}-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("make", [
    lambda: make_csr(rsa.generate_private_key(65537, 1024)), lambda: make_csr(ec.generate_private_key(ec.SECP192R1())),
    lambda: make_csr(ec.generate_private_key(ec.SECP256K1())), lambda: broken_signature(new_key()), lambda: "x" * 15000, lambda: ""],
    ids=["RSA 1024", "P-192", "secp256k1", "signature", "long", "empty"])
def test_bad_requests_are_refused_and_cost_no_token(control, make):
    token = make_token(control)
    status, answer = Node(control).join(token, csr=make() or " ")
    assert status == 400 and "csr" in answer["message"]
    assert Node(control).join(token)[0] == 200


# ---- certificates at the control API ----

def uri(text):
    return x509.UniformResourceIdentifier(text)


ME = f"spiffe://{DOMAIN}/node/edge-2"
BAD = {
    "server certificate": dict(usage=ExtendedKeyUsageOID.SERVER_AUTH),
    "expired": dict(starts=-60 * MINUTE, ends=-MINUTE),
    "not yet valid": dict(starts=30 * MINUTE, ends=60 * MINUTE),
    "authority": dict(is_authority=True),
    "two URIs": dict(names=[uri(ME), uri(f"spiffe://{DOMAIN}/node/edge-3")]),
    "URI and DNS": dict(names=[uri(ME), x509.DNSName("edge-2")]),
    "DNS": dict(names=[x509.DNSName("edge-2")]),
    "no name": dict(names=[]),
    "longer name": dict(names=[uri(ME + "-evil")]),
    "deeper name": dict(names=[uri(ME + "/evil")]),
    "slash": dict(names=[uri(ME + "/")]),
    "dots": dict(names=[uri(f"spiffe://{DOMAIN}/x/../node/edge-2")]),
    "longer domain": dict(names=[uri(f"spiffe://{DOMAIN}.evil/node/edge-2")]),
    "other domain": dict(names=[uri("spiffe://evil/node/edge-2")]),
    "upper case": dict(names=[uri(f"spiffe://{DOMAIN}/node/EDGE-2")]),
    "other scheme": dict(names=[uri(f"https://{DOMAIN}/node/edge-2")]),
    "query": dict(names=[uri(ME + "?x")]),
    "workload": dict(names=[uri(f"spiffe://{DOMAIN}/ns/default/sa/edge-2")]),
    "no enrolment": dict(enrolment=""),
    "other enrolment": dict(enrolment="00000000-0000-4000-8000-000000000000"),
    "longer enrolment": dict(suffix="0"),
}


def is_let_in(node, cert):
    """Whether it gets an answer that is for the node; a handshake that fails is an answer too."""
    try:
        return node.status(cert) not in (401, 403)
    except (OSError, ssl.SSLError):
        return False


def test_certificates_that_say_something_else_are_not_taken(control, node):
    authority, uid = Authority(control), uid_of(control)
    usual = dict(names=[uri(ME)], enrolment=uid)
    assert is_let_in(node, authority.sign(node.key, **usual)), "the one that differs in nothing"
    for what, fields in BAD.items():
        fields = {**usual, **fields}
        fields["enrolment"] += fields.pop("suffix", "")
        assert not is_let_in(node, authority.sign(node.key, **fields)), what
    assert not is_let_in(node, self_signed(node.key, [uri(ME)], uid)), "self-signed"
    chained = Node(control, key=node.key)  # a node's certificate signs nothing
    intermediate = Authority(control)
    intermediate.key, intermediate.root = node.key, x509.load_pem_x509_certificate(node.cert.encode())
    assert not is_let_in(chained, intermediate.sign(node.key, **usual) + node.cert), "signed by a node"


def test_an_authority_of_the_same_name_elsewhere_is_another(control, node, tmp_path, stopping):
    (tmp_path / "other").mkdir()
    other = Control(tmp_path / "other")
    stopping.append(other)
    assert not is_let_in(node, Authority(other).sign(node.key, [uri(ME)], uid_of(control)))


def test_a_node_acts_as_itself_only(control, node):
    second = Node(control, "edge-3")
    assert second.join(make_token(control))[0] == 200
    for what, method, body in (("snapshot", "GET", None), ("stream", "GET", None), ("status", "POST", {}), ("certificate", "POST", {"csr": make_csr(node.key)})):
        assert node.call(method, second.path(what), body)[0] == 403, what
    assert node.call("GET", "/api/v1/namespaces/default/services")[0] == 403
    assert node.call("GET", "/selvedge/v1/nodes/local/snapshot")[0] == 403


# ---- enrolments ----

def test_ready_means_that_nodes_are_served(control):
    for _ in range(5):
        control.process.kill()
        control.start()
        assert api_call(control.data / "node.sock", "GET", "/selvedge/v1/nodes/local/snapshot")[0] == 200


def test_an_answer_that_got_lost_costs_nothing(control, node):
    for _ in range(3):
        lost = node.renew()
        assert node.status() == 200 and node.status(lost) == 200
    control.process.kill()
    control.start()
    assert node.status() == 200 and node.status(lost) == 200
    assert node.status(node.renew(lost)) == 200


def ended(answer):
    while answer.readline():
        pass
    return True


def test_deleting_a_node_ends_its_certificates_for_ever(control, node):
    renewed = node.renew()
    connection, stream = node.stream()
    assert control.api("DELETE", f"{NODES}/edge-2")[0] == 200
    assert ended(stream)
    connection.close()
    assert node.status() == 403 and node.status(renewed) == 403
    heir = Node(control)
    assert heir.join(make_token(control))[0] == 200 and heir.status() == 200

    def is_shut_out():
        calls = [node.call("GET", node.path("stream"), cert=cert)[0] for cert in (node.cert, renewed)]
        calls += [node.call("POST", node.path("status"), {}, cert)[0] for cert in (node.cert, renewed)]
        calls += [node.call("POST", node.path("certificate"), {"csr": make_csr(node.key)}, cert)[0] for cert in (node.cert, renewed)]
        return calls == [403] * 6
    assert is_shut_out()
    control.process.kill()
    control.start()
    assert is_shut_out() and heir.status() == 200


def test_joining_anew_ends_what_was_there(control, node):
    """A machine was set up again: whoever has its old disk is out, also with a stream open."""
    control.call("PATCH", f"{NODES}/edge-2", {"metadata": {"labels": {"rack": "7"}}}, "application/merge-patch+json")
    connection, stream = node.stream()
    heir = Node(control)
    assert heir.join(make_token(control, node="edge-2"))[0] == 200
    assert ended(stream)
    connection.close()
    assert node.status() == 403 and heir.status() == 200
    assert control.get(f"{NODES}/edge-2")["metadata"]["labels"] == {"rack": "7"}  # what was written about it stays


def test_an_administrator_cannot_bring_an_enrolment_back_by_mistake(control, node):
    saved = control.get(f"{NODES}/edge-2")
    assert control.api("DELETE", f"{NODES}/edge-2")[0] == 200
    del saved["metadata"]["resourceVersion"]
    control.call("POST", NODES, saved)
    assert uid_of(control) != saved["metadata"]["uid"] and node.status() == 403


def test_a_restore_brings_back_the_enrolments_of_then(control, node):
    path = control.call("POST", "/selvedge/v1/backup", {})["path"]
    assert control.api("DELETE", f"{NODES}/edge-2")[0] == 200
    heir = Node(control)
    assert heir.join(make_token(control))[0] == 200
    control.stop()
    done = subprocess.run([BIN / "selvedge-gateway", "restore", "--data", control.data, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    control.start()
    assert node.status() == 200 and heir.status() == 403


def test_a_node_that_does_not_come_back_with_control_is_told_offline(control, node):
    """It went while nobody was there to see it: its Node object said connected ever after."""
    def state():
        return control.get(f"{NODES}/edge-2").get("status", {}).get("state")
    connection, _ = node.stream()
    wait_until("the node's status", lambda: state() not in (None, "Offline"))
    control.process.kill()
    connection.close()
    control.start()
    wait_until("it to be missed", lambda: state() == "Offline")
    assert control.get(f"{NODES}/edge-2")["status"]["connected"] is False


# ---- clocks ----

def test_a_certificate_that_ends_ends_what_was_opened_with_it(control, node):
    """A connection outlives the certificate that it was checked with: the stream ends with that, and calls are refused."""
    names = [x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}/node/edge-2")]
    lasting, node.cert = node.cert, Authority(control).sign(node.key, names, uid_of(control), ends=datetime.timedelta(seconds=6))
    connection, stream = node.stream()
    idle = node.connect()
    idle.connect()
    rest = stream.read()
    assert b"event: goaway" in rest and b"reconnectMs" in rest, rest
    idle.request("GET", node.path("snapshot"))
    answer = idle.getresponse()
    assert answer.status == 401 and "expired" in json.loads(answer.read())["message"]
    connection.close()
    idle.close()
    assert node.status(lasting) == 200


# As the program faketime sets it; that one stays in between and does not hand signals on.
FAKE_CLOCK = {"LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1"}


@pytest.mark.parametrize("skew", ["-10m", "+10m"])
def test_a_clock_ten_minutes_off_does_not_keep_a_node_out(control, tmp_path, stopping, skew):
    edge = Process([BIN / "selvedge-gateway", "proxy", "--control", f"https://127.0.0.1:{control.port}", "--node", "edge-2",
                    "--data", tmp_path / "edge", "--admin", f"127.0.0.1:{free_port()}", "--workers", 1, "--token", make_token(control),
                    "--control-ca", control.data / "ca.crt"], tmp_path / "edge.log", FAKE_CLOCK | {"FAKETIME": skew})
    stopping.append(edge)

    def is_synced():
        assert edge.is_running(), edge.output()[-4000:]
        status, text = control.api("GET", f"{NODES}/edge-2")
        return status == 200 and json.loads(text).get("status", {}).get("state") == "Synced"
    wait_until("the node to run what control has", is_synced)
