"""The control process alone: its API over the unix socket and TLS, kubectl and the Python client pointed at it."""
import json
import os
import shutil
import subprocess

from .gateway import api_call
from .process import ROOT, BIN, Process, wait_until

YAML = "application/yaml"


class Control:
    def __init__(self, folder, *options):
        self.folder = folder
        self.data = folder / "data"
        self.socket = self.data / "control.sock"
        self.options = options
        self.process = None
        self.start()

    def start(self):
        port_file = self.data / "api.port"
        port_file.unlink(missing_ok=True)
        self.process = Process([BIN / "selvedge-gateway", "control", "--data", self.data, "--api", "127.0.0.1:0", *self.options],
                               self.folder / "control.log")
        wait_until("the control API", lambda: self.is_ready(port_file))
        self.port = int(port_file.read_text())
        self.token = (self.data / "admin.token").read_text().strip()

    def is_ready(self, port_file):
        assert self.process.is_running(), self.process.output()[-4000:]
        try:
            return port_file.exists() and self.api("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self):
        self.process.stop()

    # ---- plain calls over the unix socket ----

    def api(self, method, target, body=None, content_type="application/json", headers=None):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        return api_call(self.socket, method, target, body, content_type, headers)

    def call(self, method, target, body=None, content_type="application/json", headers=None, status=None):
        """The answer as JSON. `status`: what it must be; None: any success."""
        got, text = self.api(method, target, body, content_type, headers)
        assert got == status if status is not None else got < 300, f"{method} {target}: {got} {text[:2000]}"
        return json.loads(text)

    def get(self, target, status=None):
        return self.call("GET", target, status=status)

    def apply(self, documents, query="", status=None):
        return self.call("POST", f"/selvedge/v1/apply{query}", documents, YAML, status=status)

    def make_token(self, name, role, **more):
        return self.call("POST", "/selvedge/v1/tokens", {"name": name, "role": role, **more})["token"]

    # ---- kubectl ----

    def kubeconfig(self, token=None):
        path = self.folder / f"kubeconfig-{token or 'admin'}"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": f"https://127.0.0.1:{self.port}",
                                                    "certificate-authority": str(self.data / "ca.crt")}}],
            "users": [{"name": "it", "user": {"token": token or self.token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]}))
        path.chmod(0o600)
        return path

    def kubectl_command(self, *args, token=None):
        return [kubectl_path(), "--kubeconfig", str(self.kubeconfig(token)), "--cache-dir", str(self.folder / "cache"),
                *map(str, args)]

    def kubectl(self, *args, code=0, stdin=None, token=None, env=None):
        """What it printed; `code`: the exit status it must have, None: any."""
        done = subprocess.run(self.kubectl_command(*args, token=token), input=stdin, capture_output=True, text=True,
                              timeout=60, env={**os.environ, **(env or {})})
        assert code is None or done.returncode == code, f"kubectl {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr


def kubectl_path():
    """Debian's (package kubernetes-client), where scripts/deps put it, before any other."""
    unpacked = str(ROOT / "build/tools/usr/bin/kubectl")
    places = [unpacked, "/usr/bin/kubectl"]
    return next((place for place in places if os.access(place, os.X_OK)), None) or shutil.which("kubectl")


def route(name="web", namespace="default", hostname="a.example", weight=1, more=""):
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hostnames: [{hostname}]
  parentRefs: [{{name: edge}}]
  rules:
  - name: main
    backendRefs:
    - {{name: web, port: 80, weight: {weight}}}
{more}"""


def service(name="web", namespace="default", port=80):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  ports:
  - {{name: http, port: {port}}}
"""


GATEWAY = """---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: selvedge
  listeners:
  - {name: http, port: 8080, protocol: HTTP}
"""
