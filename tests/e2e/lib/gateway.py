"""A gateway under test: the whole thing (supervisor, proxy, control), or a proxy alone that serves a snapshot file."""
import base64
import http.client
import json
import signal
import socket
import subprocess
import urllib.request

from .process import BIN, Process, free_port, wait_until


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("local", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def api_call(path, method, target, body=None, content_type="application/json", headers=None):
    """One call over a unix socket: (status, text)."""
    connection = UnixConnection(path)
    try:
        head = dict(headers or {})
        if body is not None:
            head["content-type"] = content_type
        connection.request(method, target, body=body, headers=head)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def admin_get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Gateway:
    """The full gateway in a folder of its own. Objects are applied as YAML through the control API."""

    def __init__(self, folder, *options, workers=1, env=None):
        self.folder = folder
        self.data = folder / "data"
        self.admin_port, self.api_port = free_port(), free_port()
        self.process = Process([BIN / "selvedge-gateway", "--data", self.data, "--api", f"127.0.0.1:{self.api_port}",
                                "--admin", f"127.0.0.1:{self.admin_port}", "--workers", workers, *options],
                               folder / "gateway.log", env)
        self.socket = self.data / "control.sock"
        wait_until("the control API", lambda: self.alive() and self.api_ready())

    def alive(self):
        assert self.process.is_running(), self.process.output()[-4000:]
        return True

    def api_ready(self):
        try:
            return self.api("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def api(self, method, target, body=None, content_type="application/json", headers=None):
        return api_call(self.socket, method, target, body, content_type, headers)

    def get(self, target):
        status, text = self.api("GET", target)
        assert status == 200, f"GET {target}: {status} {text}"
        return json.loads(text)

    def apply(self, yaml_text, wait=True):
        """Applies documents in one revision and waits until the proxy runs it. Returns the revision."""
        status, text = self.api("POST", "/selvedge/v1/apply", yaml_text, "application/yaml")
        assert status == 200, f"apply: {status} {text}"
        revision = json.loads(text)["revision"]
        if wait:
            wait_until(f"revision {revision} to run", lambda: self.runs(revision))
        return revision

    def runs(self, revision):
        rollout = self.get(f"/selvedge/v1/revisions/{revision}/status")
        assert not rollout["error"], rollout
        return rollout["synced"] >= 1 and rollout["pending"] == 0

    def delete(self, target):
        status, text = self.api("DELETE", target)
        assert status in (200, 202), f"DELETE {target}: {status} {text}"

    def metrics(self):
        return admin_get(self.admin_port, "/metrics")[1]

    def metric(self, name, **labels):
        """Sum over the series of that name with these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            if line.startswith(name + "{") or line.startswith(name + " "):
                if all(f'{key}="{value}"' in line for key, value in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def proxy_pid(self):
        return self.process.children()["proxy"]

    def control_pid(self):
        return self.process.children()["control"]

    def stop(self):
        return self.process.stop(100)


class Proxy:
    """A proxy alone, serving a compiled snapshot: for tests of the data plane that need no control plane."""

    def __init__(self, folder, resources, workers=1, options=(), env=None):
        self.folder = folder
        self.path = folder / "snapshot.json"
        self.admin_port = free_port()
        self.write(resources)
        self.process = Process([BIN / "selvedge-gateway", "proxy", "--data", folder, "--snapshot", self.path, "--workers", workers,
                                "--admin", f"127.0.0.1:{self.admin_port}", *options], folder / "proxy.log", env)
        wait_until("the proxy", lambda: self.alive() and admin_get(self.admin_port, "/readyz")[0] == 200)

    def alive(self):
        assert self.process.is_running(), self.process.output()[-4000:]
        return True

    def write(self, resources):
        self.path.write_text(json.dumps({"rev": 1, "resources": resources}))

    def reload(self, resources):
        self.write(resources)
        self.process.signal(signal.SIGHUP)

    metrics = Gateway.metrics
    metric = Gateway.metric

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        return self.process.stop(100)


def simple_resources(port, upstream_port, cluster=None, settings=None, rules=None, certificate=None):
    """One listener on `port`, one route for everything to one upstream."""
    listener = {"port": port, "protocol": "https" if certificate else "http", "servers": [{"name": "d/g/l"}]}
    resources = [
        {"kind": "settings", "name": "node", "spec": {"accessLog": "off", **(settings or {})}},
        {"kind": "listener", "name": f"*:{port}", "spec": listener},
        {"kind": "cluster", "name": "c", "spec": {"host": "upstream.test", **(cluster or {})}},
        {"kind": "endpoints", "name": "c", "spec": {"endpoints": [{"host": "127.0.0.1", "port": upstream_port}]}},
        {"kind": "route", "name": "httproute/d/r", "spec": {
            "ns": "d", "object": "r", "attachments": [{"listener": f"*:{port}", "server": "d/g/l"}],
            "rules": rules or [{"matches": [{}], "backends": [{"cluster": "c"}]}]}},
    ]
    if certificate:
        listener["servers"][0]["certificates"] = ["d/tls"]
        resources.append({"kind": "certificate", "name": "d/tls", "spec": {"certPem": certificate[0], "keyPem": certificate[1]}})
    return resources


def make_certificate(folder, *names, rsa=False):
    """A self-signed pair for the names: (certificate, key) as PEM texts; the certificate is its own authority."""
    cert, key = folder / f"{names[0]}.crt", folder / f"{names[0]}.key"
    kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "30", "-subj", f"/CN={names[0].lstrip('*.')}",
                    "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names), "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert.read_text(), key.read_text()


def tls_secret(name, pair, namespace="default"):
    """The Secret's YAML (as JSON, which is YAML)."""
    data = {"tls.crt": base64.b64encode(pair[0].encode()).decode(), "tls.key": base64.b64encode(pair[1].encode()).decode()}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                       "metadata": {"name": name, "namespace": namespace}, "data": data}) + "\n"


def manifests(http_port, upstreams, routes="", https_port=None, secret="tls"):
    """YAML: Gateway `edge` on the ports, Services of `upstreams` {name: port} on 127.0.0.1, and the routes given."""
    listeners = f"  - {{name: http, port: {http_port}, protocol: HTTP}}\n"
    if https_port:
        listeners += f"  - {{name: https, port: {https_port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: {secret}}}]}}}}\n"
    text = f"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: default}}\nspec:\n  gatewayClassName: selvedge\n  listeners:\n{listeners}"
    for name, port in upstreams.items():
        app = ", appProtocol: kubernetes.io/h2c" if name.startswith("grpc") or name.startswith("h2c") else ""
        text += f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec: {{ports: [{{name: p, port: 80{app}}}]}}\n"
        text += f"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: p, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
    return text + ("---\n" + routes if routes else "")


def route(name, backends, hostnames=(), matches=None, parent="edge", extra=""):
    """An HTTPRoute of one rule; backends: names or (name, weight)."""
    refs = ", ".join(f"{{name: {b}, port: 80}}" if isinstance(b, str) else f"{{name: {b[0]}, port: 80, weight: {b[1]}}}" for b in backends)
    host = f"  hostnames: [{', '.join(json.dumps(h) for h in hostnames)}]\n" if hostnames else ""
    match = f"matches: {matches}, " if matches else ""
    return (f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: default}}\nspec:\n"
            f"  parentRefs: [{{name: {parent}}}]\n{host}  rules: [{{{match}{extra}backendRefs: [{refs}]}}]\n")
