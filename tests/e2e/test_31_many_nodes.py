"""Many nodes on one control process, over mutual TLS as `docs/node-protocol.md` has it: everyone gets every revision, what was
missed comes as a difference, and a restart of control costs nobody a resend. `bench/control` does the same with a thousand."""
import http.client
import json
import socket
import ssl
import subprocess
import threading

import pytest

from lib.control import GATEWAY, Control, route, service
from lib.process import wait_until

NODES = 24
CHANGES = 5
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web"
MERGE = "application/merge-patch+json"


class Node:
    """A simulated node: keeps what the stream said, applies nothing, reports everything."""

    def __init__(self, box, folder, name):
        self.box, self.name, self.seq = box, name, 0
        self.key, self.cert = folder / f"{name}.key", folder / f"{name}.crt"
        self.events, self.since, self.sum, self.error = [], None, None, None
        self.thread = None

    def context(self):
        context = ssl.create_default_context(cafile=str(self.box.data / "ca.crt"))
        if self.cert.exists():
            context.load_cert_chain(self.cert, self.key)
        return context

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.box.port, timeout=60, context=self.context())

    def post(self, connection, target, body):
        connection.request("POST", target, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, f"{self.name}: {answer.status} {text}"
        return json.loads(text) if text else None

    def join(self, token):
        made = subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/", "-keyout", self.key],
                              check=True, capture_output=True, text=True)
        connection = self.connect()
        self.cert.write_text(self.post(connection, "/selvedge/v1/join", {"token": token, "name": self.name, "csr": made.stdout})["certificate"])
        connection.close()

    def open(self):
        """One stream in a thread of its own, from what the node has, until close() or the end."""
        self.events, self.error = [], None
        self.reports, self.stream = self.connect(), self.connect()
        have = f"&since={self.since}&sum={self.sum}" if self.since else ""
        self.stream.connect()
        self.stream_socket = self.stream.sock
        self.stream.request("GET", f"/selvedge/v1/nodes/{self.name}/stream?role=gateway{have}")
        self.answer = self.stream.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        event = {}
        try:
            for line in self.answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name in ("event", "id", "data"):
                    event[name] = value
                elif event:
                    self.take(event)
                    event = {}
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the other end, or close(), ended it
        except AssertionError as error:
            self.error = error

    def take(self, event):
        data = json.loads(event["data"])
        if event["event"] == "goaway":
            return
        self.since, self.sum = event["id"], data["sum"]
        self.seq += 1
        self.post(self.reports, f"/selvedge/v1/nodes/{self.name}/status",
                  {"bootId": "b", "seq": self.seq, "applied": self.revision(), "attempted": self.revision(), "state": "applied", "sum": self.sum})
        self.events.append((event["event"], data))

    def revision(self):
        return int(self.since.split(":")[1])

    def close(self):
        if self.thread is None:
            return
        for sock in (self.stream_socket, self.reports.sock):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes who reads
            except (OSError, AttributeError):
                pass  # it has ended already
        self.thread.join(30)
        assert not self.thread.is_alive() and self.error is None, self.error
        self.thread = None


@pytest.fixture
def control(tmp_path, stopping):
    box = Control(tmp_path)
    stopping.append(box)
    box.apply(GATEWAY + route() + service())
    return box


@pytest.fixture
def nodes(control, tmp_path):
    token = control.call("POST", "/selvedge/v1/join-tokens", {"uses": NODES, "role": "gateway"})["token"]
    made = [Node(control, tmp_path, f"node-{i}") for i in range(NODES)]
    for node in made:
        node.join(token)
    yield made
    for node in made:
        node.close()


def change(control, number):
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": f"/v{number}"}}], "backendRefs": [{"name": "web", "port": 80}]}
    return int(control.call("PATCH", ROUTE, {"spec": {"rules": [rule]}}, MERGE)["metadata"]["resourceVersion"])


def wait_synced(control, revision):
    """All nodes said that they run it, or one that changes nothing for them."""
    def is_synced():
        told = control.get(f"/selvedge/v1/revisions/{revision}/status")
        assert not told["error"] and told["rejected"] == 0, told
        return told["synced"] == NODES
    wait_until(f"revision {revision} on all nodes", is_synced)


def test_every_node_gets_every_revision_and_resumes_with_the_difference(control, nodes):
    for node in nodes:
        node.open()
    wait_synced(control, change(control, 0))
    for number in range(1, CHANGES):
        wait_synced(control, change(control, number))
    assert len({node.sum for node in nodes}) == 1  # all have the same
    for node in nodes:
        kinds = [kind for kind, _ in node.events]
        assert kinds[0] == "snapshot" and kinds.count("snapshot") == 1 and kinds.count("delta") >= CHANGES - 1, kinds
        deltas = [data for kind, data in node.events if kind == "delta"]
        assert all(len(delta["upsert"]) == 1 and delta["delete"] == [] for delta in deltas)

    before = {node.name: node.revision() for node in nodes}
    for node in nodes:
        node.close()
    revision = change(control, 100)
    wait_until("its compile", lambda: control.get(f"/selvedge/v1/revisions/{revision}/status")["compiled"])
    for node in nodes:
        node.open()
    wait_synced(control, revision)
    for node in nodes:
        kind, data = node.events[0]
        assert kind == "delta" and data["from"] <= before[node.name] and "/v100" in json.dumps(data["upsert"])
    assert len({node.sum for node in nodes}) == 1


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_restart_of_control_sends_nobody_anything_again(control, nodes, how):
    for node in nodes:
        node.open()
    wait_synced(control, change(control, 1))
    sums = {node.name: node.sum for node in nodes}
    getattr(control.process, how)()
    for node in nodes:
        node.close()
    control.start()
    for node in nodes:
        node.open()
    wait_synced(control, int(control.get(ROUTE)["metadata"]["resourceVersion"]))
    for node in nodes:
        wait_until("the bookmark", lambda: node.events)
        assert [kind for kind, _ in node.events] == ["bookmark"] and node.sum == sums[node.name]
    wait_synced(control, change(control, 2))
    for node in nodes:
        assert [kind for kind, _ in node.events if kind != "bookmark"] == ["delta"]
