"""Everything may change while it serves: routes, listeners, certificates, and the processes themselves."""
import http.client
import os
import pathlib
import re
import signal
import socket
import ssl
import time

import pytest

from lib.gateway import admin_get, make_certificate, manifests, route, tls_secret
from lib.grpc_ratings import Ratings, RatingsServer, messages
from lib.load import BookService, GrpcChats, H2load, WebSockets, Wrk
from lib.process import BIN, Process, free_port, wait_until
from lib.websocket import WebSocketEcho

SECONDS = 60 if os.environ.get("SELVEDGE_LONG") else 10
CHANGES_PER_SECOND = 20


def status_of(port, path="/details/0", host="x.test"):
    """The status, or 0 when there is no connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"host": host})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def served_certificate(port, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, context.wrap_socket(plain, server_hostname=name) as sock:
        return ssl.DER_cert_to_PEM_cert(sock.getpeercert(True)).strip()


class Shop:
    """A gateway with a quick HTTP upstream behind it."""

    def __init__(self, gateway, folder, stopping):
        self.gateway, self.folder = gateway, folder
        self.details = BookService(folder)
        stopping.append(self.details)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/details/0"

    def apply(self, routes=None, extra_services=None, **kinds):
        text = manifests(self.port, {"details": self.details.port, **(extra_services or {})}, routes or route("all", ["details"]), **kinds)
        return self.gateway.apply(text)


@pytest.fixture
def shop(gateway, tmp_path, stopping):
    return Shop(gateway, tmp_path, stopping)


def changed_route(number):
    """The same way in, each time by another rule: another match beside it, another header, other weights."""
    weight = 1 + number % 9
    return ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: all, namespace: default}\nspec:\n"
            "  parentRefs: [{name: edge}]\n  rules:\n"
            f"  - matches: [{{path: {{type: PathPrefix, value: /only/{number}}}}}]\n"
            "    backendRefs: [{name: details, port: 80}]\n"
            f"  - filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-change, value: '{number}'}}]}}}}]\n"
            f"    backendRefs: [{{name: details, port: 80, weight: {weight}}}, {{name: other, port: 80, weight: {10 - weight}}}]\n")


def test_route_changes_under_load(shop, tmp_path, stopping, record_property):
    sockets, ratings, other = WebSocketEcho(), RatingsServer(tmp_path), BookService(tmp_path, "other")
    stopping.extend([sockets, ratings, other])
    routes = route("all", ["details"]) + "---\n" + route("ws", ["ws"], ["ws.test"]) + "---\n" + route("grpc", ["grpc"], ["grpc.test"])
    shop.apply(routes, {"ws": sockets.port, "grpc": ratings.port, "other": other.port})
    gateway = shop.gateway
    pb = messages(tmp_path)
    client = Ratings(f"127.0.0.1:{shop.port}", pb, options=[("grpc.default_authority", "grpc.test")])
    chats = GrpcChats(client, pb)
    tunnels = WebSockets(f"ws://ws.test:{shop.port}/", host="127.0.0.1", port=shop.port)
    wrk, h2load = Wrk(shop.url), H2load(shop.url)
    stopping.extend([wrk, h2load, tunnels, chats])
    wait_until("load", lambda: gateway.metric("selvedge_requests_total") > 1000)

    proxy = gateway.proxy_pid()
    total = SECONDS * CHANGES_PER_SECOND
    revision, rss = 0, []
    begun = time.monotonic()
    for number in range(total):
        revision = gateway.apply(changed_route(number), wait=False)
        if number % CHANGES_PER_SECOND == CHANGES_PER_SECOND - 1:
            rss.append(gateway.process.rss_kb(proxy))
        time.sleep(max(0, begun + (number + 1) / CHANGES_PER_SECOND - time.monotonic()))  # the pace of the changes
    rate = total / (time.monotonic() - begun)
    wait_until("the last change to run", lambda: gateway.runs(revision))
    requests, failed, text = wrk.finish()
    requests2, failed2, text2 = h2load.finish()
    told, dropped = tunnels.finish()
    chatted, broken = chats.finish()
    client.close()
    growth = max(rss[len(rss) // 2:]) - max(rss[:len(rss) // 2])
    record_property("figures", f"{rate:.1f} changes/s for {SECONDS} s under {requests} + {requests2} requests, {told} WebSocket and {chatted} gRPC "
                               f"messages: {failed + failed2} failed, {dropped + broken} streams dropped, resident {rss[0]} -> {rss[-1]} kB")
    assert failed == 0 and failed2 == 0, text + text2 + gateway.process.output()[-3000:]
    assert dropped == 0 and broken == 0
    assert gateway.proxy_pid() == proxy
    assert growth < 4096, rss
    assert status_of(shop.port, f"/only/{total - 1}") != 0
    assert rate > CHANGES_PER_SECOND / 2, "the machine was too busy for the changes this test is about"


def test_listeners_come_go_and_change(shop, tmp_path):
    gateway, second = shop.gateway, free_port()
    shop.apply()
    assert status_of(shop.port) == 200 and status_of(second) == 0
    text = manifests(shop.port, {"details": shop.details.port}, route("all", ["details"]))
    more = text.replace("  listeners:\n", f"  listeners:\n  - {{name: more, port: {second}, protocol: HTTP}}\n")
    gateway.apply(more)
    assert status_of(second) == 200 and status_of(shop.port) == 200
    # the same port speaks TLS from now on; a connection that is open goes on as it is until it is done
    old = http.client.HTTPConnection("127.0.0.1", second, timeout=30)
    old.request("GET", "/details/0")
    assert old.getresponse().read()
    pair = make_certificate(tmp_path, "x.test")
    tls = more.replace(f"port: {second}, protocol: HTTP}}", f"port: {second}, protocol: HTTPS, tls: {{certificateRefs: [{{name: tls}}]}}}}")
    gateway.apply(tls_secret("tls", pair) + "---\n" + tls)
    wait_until("TLS on the port", lambda: served_certificate_or_none(second) == pair[0].strip())
    gateway.apply(text)
    wait_until("the port to be closed", lambda: status_of(second) == 0)
    assert status_of(shop.port) == 200


def served_certificate_or_none(port, name="x.test"):
    try:
        return served_certificate(port, name)
    except (OSError, ssl.SSLError):
        return None


def test_a_removed_listener_lets_its_requests_finish(shop, tmp_path, stopping, echo):
    second = free_port()
    text = manifests(shop.port, {"details": shop.details.port, "slow": echo.port},
                     route("all", ["details"]) + "---\n" + route("slow", ["slow"], matches="[{path: {value: /sse}}]"))
    more = text.replace("  listeners:\n", f"  listeners:\n  - {{name: more, port: {second}, protocol: HTTP}}\n")
    shop.gateway.apply(more)
    with socket.create_connection(("127.0.0.1", second), timeout=30) as client:
        client.sendall(b"GET /sse/2 HTTP/1.1\r\nhost: x\r\n\r\n")
        seen = b""
        while b"data: 0" not in seen:
            seen += client.recv(4096)
        shop.gateway.apply(text)
        wait_until("the port to be closed", lambda: status_of(second) == 0)
        echo.gate.release(2)
        while not seen.endswith(b"0\r\n\r\n"):
            piece = client.recv(4096)
            assert piece, seen
            seen += piece
        assert b"data: 1" in seen


def test_certificate_swapped_under_load(shop, tmp_path, stopping):
    tls_port = free_port()
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    pairs = [make_certificate(folder, "x.test") for folder in folders]
    text = manifests(shop.port, {"details": shop.details.port}, route("all", ["details"]), https_port=tls_port)
    shop.gateway.apply(tls_secret("tls", pairs[0]) + "---\n" + text)
    assert served_certificate(tls_port, "x.test") == pairs[0][0].strip()
    url = f"https://127.0.0.1:{tls_port}/details/0"
    wrk, h2load = Wrk(url), H2load(url)
    stopping.extend([wrk, h2load])
    wait_until("load", lambda: shop.gateway.metric("selvedge_requests_total") > 500)
    for number in range(1, 12):
        shop.gateway.apply(tls_secret("tls", pairs[number % 2]))
        assert served_certificate(tls_port, "x.test") == pairs[number % 2][0].strip()
    for load in (wrk, h2load):
        total, failed, text = load.finish()
        assert total > 0 and failed == 0, text


def test_killed_control_comes_back_unnoticed(shop, stopping):
    shop.apply()
    gateway = shop.gateway
    wrk, h2load = Wrk(shop.url), H2load(shop.url)
    stopping.extend([wrk, h2load])
    wait_until("load", lambda: gateway.metric("selvedge_requests_total") > 500)
    proxy = gateway.proxy_pid()
    for number in range(2):
        control = gateway.control_pid()
        os.kill(control, signal.SIGKILL)
        wait_until("a new control process", lambda: gateway.process.children().get("control", control) != control)
        wait_until("the control API", gateway.api_ready)
        gateway.apply(route(f"after-{number}", ["details"], [f"after-{number}.test"]))
        assert status_of(shop.port, host=f"after-{number}.test") == 200
    for load in (wrk, h2load):
        total, failed, text = load.finish()
        assert total > 0 and failed == 0, text
    assert gateway.proxy_pid() == proxy


def stored_snapshot(gateway):
    path = gateway.data / "proxy/snapshot.json"
    return path.read_text() if path.exists() else ""


def test_a_second_signal_ends_also_what_hangs(gateway):
    """A first one waits, as long as the configuration says; the proxy that would drain is stopped here and cannot."""
    proxy = gateway.proxy_pid()
    os.kill(proxy, signal.SIGSTOP)
    gateway.process.signal(signal.SIGTERM)

    def is_handed_on():
        status = pathlib.Path(f"/proc/{proxy}/status").read_text()
        return int(re.search(r"^ShdPnd:\s*(\w+)", status, re.M).group(1), 16) >> (signal.SIGTERM - 1) & 1

    wait_until("the signal to be handed on", is_handed_on)
    assert gateway.process.is_running()
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.wait(30) == 0
    assert not os.path.exists(f"/proc/{proxy}")


def test_killed_proxy_comes_back_without_control(shop):
    gateway = shop.gateway
    shop.apply(route("stored", ["details"], ["stored.test"]))
    wait_until("the snapshot to be stored", lambda: "stored.test" in stored_snapshot(gateway))
    control, proxy = gateway.control_pid(), gateway.proxy_pid()
    os.kill(control, signal.SIGSTOP)
    try:
        os.kill(proxy, signal.SIGKILL)
        wait_until("a new proxy", lambda: gateway.process.children().get("proxy", proxy) != proxy)
        wait_until("it to serve", lambda: status_of(shop.port, host="stored.test") == 200)
        assert admin_get(gateway.admin_port, "/readyz")[0] == 200
    finally:
        os.kill(control, signal.SIGCONT)
    gateway.apply(route("later", ["details"], ["later.test"]))
    assert status_of(shop.port, host="later.test") == 200


def start_proxy(shop, stopping, admin):
    proxy = Process([BIN / "selvedge-gateway", "proxy", "--data", shop.gateway.data, "--workers", 1, "--admin", f"127.0.0.1:{admin}"],
                    shop.folder / "alone.log")
    stopping.append(proxy)
    return proxy


@pytest.mark.parametrize("with_tls", [False, True])
def test_start_without_control(shop, stopping, tmp_path, with_tls):
    """The stored snapshot is all there is, private keys included."""
    tls_port, pair = free_port(), make_certificate(tmp_path, "x.test")
    routes = route("all", ["details"])
    text = manifests(shop.port, {"details": shop.details.port}, routes, https_port=tls_port if with_tls else None)
    shop.gateway.apply((tls_secret("tls", pair) + "---\n" if with_tls else "") + text)
    assert shop.gateway.stop() == 0
    assert status_of(shop.port) == 0
    admin = free_port()
    start_proxy(shop, stopping, admin)
    wait_until("the proxy alone to serve", lambda: status_of(shop.port) == 200)
    assert admin_get(admin, "/readyz")[0] == 200
    if with_tls:
        assert served_certificate(tls_port, "x.test") == pair[0].strip()


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "foreign"])
def test_corrupt_stored_snapshot_is_not_served(shop, stopping, how):
    shop.apply()
    assert shop.gateway.stop() == 0
    path = shop.gateway.data / "proxy/snapshot.json"
    good = path.read_bytes()
    path.write_bytes({"flipped": good.replace(b"details", b"detains", 1), "cut": good[:len(good) // 2], "empty": b"", "foreign": b"{}\n"}[how])
    admin = free_port()
    proxy = start_proxy(shop, stopping, admin)
    wait_until("the log to tell", lambda: "the stored snapshot was not used" in proxy.output())
    assert str(path) in proxy.output()
    assert admin_get(admin, "/readyz")[0] == 503 and admin_get(admin, "/healthz")[0] == 200
    assert status_of(shop.port) == 0


def test_no_stored_snapshot_is_not_ready(shop, stopping):
    shop.apply()
    assert shop.gateway.stop() == 0
    for path in pathlib.Path(shop.gateway.data / "proxy").iterdir():
        path.unlink()
    admin = free_port()
    proxy = start_proxy(shop, stopping, admin)
    wait_until("its admin port", lambda: admin_get(admin, "/healthz")[0] == 200)
    assert admin_get(admin, "/readyz")[0] == 503
    assert proxy.is_running()
