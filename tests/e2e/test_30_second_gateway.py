"""A pure proxy on another box: it joins with a one-time token, serves what control has, and outlives control."""
import http.client
import json
import socket
import ssl
import stat

import pytest

from lib.gateway import admin_get, api_call, make_certificate, manifests, route, tls_secret
from lib.process import BIN, Process, free_port, wait_until


class ControlBox:
    """The control process alone: nothing is proxied here."""

    def __init__(self, folder, name="control"):
        self.folder, self.data, self.port = folder, folder / f"{name}-data", free_port()
        self.socket = self.data / "control.sock"
        self.start()

    def start(self):
        self.process = Process([BIN / "selvedge-gateway", "control", "--data", self.data, "--api", f"127.0.0.1:{self.port}"],
                               self.folder / f"{self.data.name}.log")
        wait_until("the control API", self.is_ready)

    def is_ready(self):
        assert self.process.is_running(), self.process.output()[-4000:]
        try:
            return self.api("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def api(self, method, target, body=None, content_type="application/json"):
        return api_call(self.socket, method, target, body, content_type)

    def apply(self, text):
        status, answer = self.api("POST", "/selvedge/v1/apply", text, "application/yaml")
        assert status == 200, answer
        return json.loads(answer)["revision"]

    def token(self, **fields):
        status, answer = self.api("POST", "/selvedge/v1/join-tokens", json.dumps(fields))
        assert status == 201, answer
        return json.loads(answer)["token"]

    def node(self, name):
        status, answer = self.api("GET", f"/apis/selvedge.dev/v1alpha1/nodes/{name}")
        return json.loads(answer) if status == 200 else None

    def is_run_by(self, name, revision):
        """The node says that it runs this revision."""
        node = self.node(name) or {}
        return int(node.get("status", {}).get("appliedRevision", 0) or 0) >= revision

    def stop(self):
        self.process.stop()


class EdgeBox:
    """The gateway as it runs on the other box. `role` "proxy": without the supervisor, so that its end shows."""

    def __init__(self, folder, control, name="edge-2", token=None, role="proxy", ca=None):
        self.folder, self.control, self.name, self.role = folder, control, name, role
        self.ca = ca or control.data / "ca.crt"
        self.data, self.admin = folder / f"{name}-data", free_port()
        self.start(token)

    def start(self, token=None):
        args = [BIN / "selvedge-gateway", *([self.role] if self.role else []), "--control", f"https://127.0.0.1:{self.control.port}", "--node", self.name,
                "--data", self.data, "--admin", f"127.0.0.1:{self.admin}", "--workers", 1]
        args += ["--token", token] if token else []
        args += ["--control-ca", self.ca] if self.ca else []
        self.process = Process(args, self.folder / f"{self.name}.log")

    def wait_ready(self):
        def is_ready():
            assert self.process.is_running(), self.process.output()[-4000:]
            return admin_get(self.admin, "/readyz")[0] == 200
        wait_until("the second gateway", is_ready)

    def stop(self):
        self.process.stop()


@pytest.fixture
def control(tmp_path, stopping):
    box = ControlBox(tmp_path)
    stopping.append(box)
    return box


@pytest.fixture
def join(tmp_path, stopping, control):
    def make(**kinds):
        box = EdgeBox(tmp_path, control, **kinds)
        stopping.append(box)
        return box
    return make


def status_of(port, host="x.test"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/", headers={"host": host})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def test_it_joins_and_serves_the_same(control, join, echo, tmp_path):
    port, tls_port, pair = free_port(), free_port(), make_certificate(tmp_path, "x.test")
    revision = control.apply(tls_secret("tls", pair) + "---\n" + manifests(port, {"shop": echo.port}, route("all", ["shop"], ["x.test"]), https_port=tls_port))
    edge = join(token=control.token())
    edge.wait_ready()
    wait_until("the revision just applied", lambda: status_of(port) == 200)
    context = ssl.create_default_context(cadata=pair[0])
    with socket.create_connection(("127.0.0.1", tls_port), timeout=30) as plain, context.wrap_socket(plain, server_hostname="x.test") as sock:
        assert sock.version() == "TLSv1.3"
    # what it keeps: a key of its own, a certificate of its own, and nothing that others may read
    for name in ("node.key", "keys-*.json", "snapshot.json"):
        paths = wait_until(name, lambda name=name: list((edge.data / "proxy").glob(name)))
        assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600], name
    assert "BEGIN CERTIFICATE" in (edge.data / "proxy/node.crt").read_text()
    assert "PRIVATE KEY" not in (edge.data / "proxy/snapshot.json").read_text()
    # control knows it
    wait_until("its report", lambda: control.is_run_by("edge-2", revision))
    node = control.node("edge-2")
    status = node["status"]
    assert status["connected"] is True and status["state"] == "Synced" and status["errors"] == [] and status["version"]
    assert status["appliedRevision"] >= revision and node["spec"]["role"] == "gateway"
    schema = control.api("GET", "/openapi/v2")[1]
    assert all(f'"{name}"' in schema for name in status)  # what is told is what is documented
    # and it follows
    assert status_of(port, "more.test") == 404
    revision = control.apply(route("more", ["shop"], ["more.test"]))
    wait_until("the change", lambda: control.is_run_by("edge-2", revision))
    assert status_of(port, "more.test") == 200


def test_two_nodes_with_a_token_for_two(control, join, echo):
    port = free_port()
    token = control.token(uses=2)
    edges = [join(name=name, token=token) for name in ("edge-2", "edge-3")]
    for edge in edges:
        wait_until("it to join", (edge.data / "proxy/node.crt").exists)
    revision = control.apply(manifests(port, {"shop": echo.port}, route("all", ["shop"])))
    for edge in edges:
        wait_until("the change", lambda name=edge.name: control.is_run_by(name, revision))
    answer = json.loads(control.api("GET", f"/selvedge/v1/revisions/{revision}/status?wait=10")[1])
    assert answer["synced"] == 2 and answer["pending"] == 0 and answer["complete"] is True


def test_a_token_is_good_once(control, join):
    token = control.token()
    join(token=token)
    wait_until("the first node", lambda: control.node("edge-2"))
    second = join(name="edge-3", token=token)
    assert second.process.wait(30) != 0
    assert "join" in second.process.output() and "token" in second.process.output()
    assert control.node("edge-3") is None


@pytest.mark.parametrize("what", ["wrong name", "nonsense", "none", "foreign authority"])
def test_who_may_not_join(control, join, tmp_path, stopping, what):
    kinds = {"wrong name": lambda: {"token": control.token(node="edge-9")}, "nonsense": lambda: {"token": "sj_AAAA"}, "none": dict,
             "foreign authority": lambda: {"token": control.token(), "ca": other_authority(tmp_path)}}[what]()
    edge = join(**kinds)
    assert edge.process.wait(60) != 0
    assert "could not join" in edge.process.output()
    assert control.node("edge-2") is None


def other_authority(tmp_path):
    make_certificate(tmp_path, "127.0.0.1")
    return tmp_path / "127.0.0.1.crt"


def test_restart_needs_no_token(control, join, echo):
    port = free_port()
    control.apply(manifests(port, {"shop": echo.port}, route("all", ["shop"])))
    edge = join(token=control.token())
    edge.wait_ready()
    before = (edge.data / "proxy/node.crt").read_text()
    edge.process.stop()
    edge.ca = None
    edge.start()
    edge.wait_ready()
    assert status_of(port) == 200 and (edge.data / "proxy/node.crt").read_text() == before
    revision = control.apply(route("later", ["shop"], ["later.test"]))
    wait_until("the change", lambda: control.is_run_by("edge-2", revision))


def test_control_away_and_back(control, join, echo):
    """Killed, it is not missed: not by a proxy that runs, nor by one that starts; back again, it is followed again."""
    port = free_port()
    control.apply(manifests(port, {"shop": echo.port}, route("all", ["shop"], ["a.test"])))
    edge = join(token=control.token(), role=None)
    edge.wait_ready()
    wait_until("the snapshot to be stored", (edge.data / "proxy/snapshot.json").exists)
    control.process.kill()
    wait_until("the loss to be told", lambda: "lost control" in edge.process.output())
    assert status_of(port, "a.test") == 200
    edge.process.stop()
    assert status_of(port, "a.test") == 0
    edge.start()
    edge.wait_ready()
    assert status_of(port, "a.test") == 200
    control.start()
    revision = control.apply(route("later", ["shop"], ["later.test"]))
    wait_until("the change", lambda: control.is_run_by("edge-2", revision), timeout=60)
    assert status_of(port, "later.test") == 200


def test_what_could_not_be_stored_is_stored_once_it_can_be(control, join, echo):
    port = free_port()
    control.apply(manifests(port, {"shop": echo.port}, route("all", ["shop"])))
    edge = join(token=control.token())
    edge.wait_ready()
    folder, aside = edge.data / "proxy", edge.data / "aside"
    wait_until("the snapshot to be stored", (folder / "snapshot.json").exists)
    folder.rename(aside)
    folder.write_text("a file: nothing can be stored in it")
    control.apply(route("later", ["shop"], ["later.test"]))
    wait_until("the failure to be told", lambda: "the snapshot was not stored" in edge.process.output())
    folder.unlink()
    aside.rename(folder)
    wait_until("it to be stored", lambda: "later.test" in (folder / "snapshot.json").read_text())
    assert edge.process.output().count("the snapshot was not stored") == 1


def test_it_starts_from_control_else_from_what_is_stored_else_not_at_all(control, join, echo):
    port = free_port()
    control.apply(manifests(port, {"shop": echo.port}, route("all", ["shop"])))
    edge = join(token=control.token())
    edge.wait_ready()
    snapshot = edge.data / "proxy/snapshot.json"
    wait_until("the snapshot to be stored", snapshot.exists)
    edge.process.stop()
    whole = snapshot.read_bytes()
    control.process.kill()
    edge.start()
    edge.wait_ready()
    assert status_of(port) == 200 and "running on the stored snapshot" in edge.process.output()
    edge.process.stop()
    snapshot.write_bytes(whole[:-10])
    edge.start()
    wait_until("it to be refused", lambda: "was not used" in edge.process.output())
    assert admin_get(edge.admin, "/healthz")[0] == 200 and admin_get(edge.admin, "/readyz")[0] == 503
    assert status_of(port) == 0
    control.start()
    edge.wait_ready()
    assert status_of(port) == 200
    wait_until("a whole one to be stored again", lambda: snapshot.read_bytes()[-10:] == whole[-10:])
    edge.process.stop()
    snapshot.write_bytes(b"nonsense")
    edge.start()
    edge.wait_ready()
    # this start's log: control answered, what is stored was not even looked at
    assert edge.process.output().count("was not used") <= 1 and status_of(port) == 200


def test_a_deleted_node_is_shut_out(control, join, echo):
    port = free_port()
    revision = control.apply(manifests(port, {"shop": echo.port}, route("all", ["shop"], ["a.test"])))
    edge = join(token=control.token())
    edge.wait_ready()
    wait_until("its report", lambda: control.is_run_by("edge-2", revision))
    assert control.api("DELETE", "/apis/selvedge.dev/v1alpha1/nodes/edge-2")[0] in (200, 202)
    wait_until("the stream to be cut", lambda: "lost control" in edge.process.output())
    control.apply(route("secret", ["shop"], ["secret.test"]))
    edge.process.stop()
    edge.start()
    edge.wait_ready()
    wait_until("control to refuse it again", lambda: edge.process.output().count("stored snapshot") >= 1)
    assert status_of(port, "a.test") == 200 and status_of(port, "secret.test") == 404
    assert control.node("edge-2") is None
    # its name is free again, for whoever has a new token
    edge.process.stop()
    (edge.data / "proxy/node.crt").unlink()
    edge.start(control.token(node="edge-2"))
    wait_until("it to join anew", lambda: control.node("edge-2"))
    wait_until("what it missed", lambda: status_of(port, "secret.test") == 200)
