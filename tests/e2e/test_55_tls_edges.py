"""TLS at the edge: what is too old is refused, sessions stay where they were made, certificates change under load."""
import base64
import socket
import ssl
import subprocess
import threading

import pytest

from lib.gateway import make_certificate
from lib.process import free_port, wait_until
from lib.wire import Client, Strict, get


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return {name: make_certificate(folder, name) for name in ("a.test", "b.test", "new.test")}


def hosts(port, second_port, pairs, other=None):
    """a.test and b.test with a certificate each on one listener, a.test on a second one too. `other`: a.test's pair."""
    def change(resources):
        listener = next(r for r in resources if r["kind"] == "listener")
        listener["spec"]["servers"] = [{"name": f"d/g/{n}", "hostname": f"{n}.test", "certificates": [f"d/{n}"]} for n in "ab"]
        resources.append({"kind": "listener", "name": f"*:{second_port}", "spec": {
            "port": second_port, "protocol": "https", "servers": [{"name": "d/g/second", "hostname": "a.test", "certificates": ["d/a"]}]}})
        resources[:] = [r for r in resources if r["kind"] != "certificate"]
        for name in "ab":
            cert, key = other if other and name == "a" else pairs[f"{name}.test"]
            resources.append({"kind": "certificate", "name": f"d/{name}", "spec": {"certPem": cert, "keyPem": key}})
        attachments = [{"listener": listener["name"], "server": f"d/g/{n}"} for n in "ab"]
        next(r for r in resources if r["kind"] == "route")["spec"]["attachments"] = attachments + [
            {"listener": f"*:{second_port}", "server": "d/g/second"}]
    return change


@pytest.fixture(scope="module")
def edge(pairs, shared_proxy, module_stopping):
    upstream = Strict()
    module_stopping.append(upstream)
    second = free_port()
    proxy, port = shared_proxy(upstream.port, change=hosts(None, second, pairs), certificate=pairs["a.test"])
    proxy.port, proxy.second, proxy.upstream_port, proxy.upstream = port, second, upstream.port, upstream
    return proxy


def context(pairs, *, version=None):
    made = ssl.create_default_context(cadata="".join(cert for cert, _ in pairs.values()))
    made.check_hostname = False
    if version is not None:
        made.minimum_version = made.maximum_version = version
    return made


def connect(port, made, name, session=None):
    """An answered request, so that tickets have arrived: (was resumed, session)."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with made.wrap_socket(plain, server_hostname=name, session=session) as sock:
            sock.sendall(b"GET /tls HTTP/1.1\r\nhost: %s\r\n\r\n" % name.encode())
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            return sock.session_reused, sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_stay_where_they_were_made(version, edge, pairs):
    """CVE-2025-23419: a ticket of one host says nothing on another host or listener."""
    made = context(pairs, version=version)
    first, session = connect(edge.port, made, "a.test")
    assert not first
    assert connect(edge.port, made, "a.test", session)[0], "resumption works where it may"
    for port, name in ((edge.port, "b.test"), (edge.second, "a.test")):
        try:
            assert not connect(port, made, name, session)[0]
        except ssl.SSLError:
            pass  # refused: as good


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_where_certificates_are_asked_for_no_session_is_kept(version, gateway):
    """CVE-2022-21654: each connection proves itself against the trust bundle of now, whatever it was at the last one's time."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    session = None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", gateway.api_port), timeout=30) as plain:
            with made.wrap_socket(plain, session=session) as sock:
                sock.sendall(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")
                assert sock.recv(65536).startswith(b"HTTP/1.1 ")
                assert not sock.session_reused
                session = sock.session


@pytest.mark.parametrize("option", ["-tls1_1", "-tls1", "-ssl3"])
def test_old_versions_are_refused(option, edge):
    result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.test", option,
                             "-cipher", "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=30)
    assert b"Cipher is (NONE)" in result.stdout or result.returncode != 0
    assert b"BEGIN CERTIFICATE" not in result.stdout


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "aNULL",
                                    "AES128-GCM-SHA256"])
def test_weak_suites_are_refused(cipher, edge):
    result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.test", "-tls1_2",
                             "-cipher", f"{cipher}:@SECLEVEL=0"], input=b"", capture_output=True, timeout=30)
    assert b"BEGIN CERTIFICATE" not in result.stdout and result.returncode != 0


def test_renegotiation_is_refused(edge):
    """The client's R: no new handshake, whether by alert or by the end."""
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.test", "-tls1_2"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        out, _ = client.communicate(b"R\nGET / HTTP/1.1\r\nhost: a.test\r\n\r\n", timeout=30)
    assert b"no renegotiation" in out or b"unexpected message" in out or b"HTTP/1.1" not in out
    assert get(edge.port, "/alive", host=b"a.test", tls=context_of(edge), name="a.test").status == 200


def forge_early_data(session, allowed=16384):
    """The session (PEM) as a server would have given it that takes early data: max_early_data, context tag 15 of
    SSL_SESSION, behind ticket_age_add, context tag 14."""
    der = base64.b64decode("".join(session.split("-----")[2].split()))
    assert der[:2] == b"\x30\x82" and b"\xaf\x04\x02\x02" not in der
    at = der.rindex(b"\xae")
    at += 2 + der[at + 1]
    assert der[at] == 0xb3, "what follows: the flags"
    body = der[4:at] + b"\xaf\x04\x02\x02" + allowed.to_bytes(2, "big") + der[at:][:len(der) - at]
    made = base64.encodebytes(b"\x30\x82" + len(body).to_bytes(2, "big") + body).decode()
    return f"-----BEGIN SSL SESSION PARAMETERS-----\n{made}-----END SSL SESSION PARAMETERS-----\n"


def test_early_data_is_not_served(edge, tmp_path):
    """No ticket allows any; a client that sends it all the same is served what comes behind the handshake only."""
    base = ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.test", "-tls1_3"]
    session, early = tmp_path / "session", tmp_path / "early"

    def talk(*options):
        """A request by the client's input, and what it said about it; until the gateway closes."""
        done = subprocess.run([*base, "-ign_eof", *options], capture_output=True, timeout=30,
                              input=b"GET /behind HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        assert b"HTTP/1.1 200" in done.stdout, done.stdout + done.stderr
        return done.stdout

    assert b"Max Early Data: 0" in talk("-sess_out", session)
    forged = tmp_path / "forged"
    forged.write_text(forge_early_data(session.read_text()))
    early.write_bytes(b"GET /early HTTP/1.1\r\nhost: a.test\r\n\r\n")
    said = talk("-sess_in", forged, "-early_data", early)
    assert b"Early data was rejected" in said
    targets = edge.upstream.targets()
    assert "/behind" in targets and "/early" not in targets


@pytest.mark.parametrize("options", [["-tls1_2", "-comp"], ["-tls1_3", "-comp"]])
def test_nothing_is_compressed(options, edge):
    result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.test", *options],
                            input=b"", capture_output=True, timeout=30)
    assert b"Compression: NONE" in result.stdout and b"Expansion: NONE" in result.stdout


def context_of(_edge):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


@pytest.mark.parametrize("data", [b"", b"\x16", b"\x16\x03\x01\x40\x00", b"\x16\x03\x01\xff\xff" + b"x" * 100, b"GET / HTTP/1.1\r\n\r\n",
                                  b"\x80\x2e\x01\x00\x02" + b"\0" * 50, b"\x15\x03\x03\0\x02\x02\x28", b"\x17\x03\x03\0\x10" + b"x" * 16,
                                  b"\x16\x03\x01\0\x04\x01\xff\xff\xff"], ids=range(9))
def test_what_is_no_hello_harms_nobody(data, edge, pairs):
    with Client(edge.port) as client:
        client.send(data)
        client.sock.shutdown(socket.SHUT_WR)
        while client.more():
            pass
    assert connect(edge.port, context(pairs), "a.test") is not None


def served(port, pairs, name="a.test"):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context(pairs).wrap_socket(plain, server_hostname=name) as sock:
            return ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))


def reload(edge, pairs, other):
    from lib.gateway import simple_resources
    resources = simple_resources(edge.port, edge.upstream_port, certificate=pairs["a.test"])
    hosts(None, edge.second, pairs, other)(resources)
    edge.reload(resources)


def test_certificates_change_while_handshakes_run(edge, pairs):
    """20 changes under load: no handshake fails, and the last one is what is served."""
    stop, faults, nums = threading.Event(), [], [0, 0]

    def shake(index):
        while not stop.is_set():
            try:
                connect(edge.port, context(pairs), "a.test")
                nums[index] += 1
            except (OSError, AssertionError) as fault:
                faults.append(repr(fault))
                return

    threads = [threading.Thread(target=shake, args=(i,), daemon=True) for i in range(2)]
    for thread in threads:
        thread.start()
    texts = {"a.test": pairs["a.test"][0].strip(), "new.test": pairs["new.test"][0].strip()}
    try:
        for number in range(20):
            name = ("new.test", "a.test")[number % 2]
            done = sum(nums)
            reload(edge, pairs, pairs[name])
            wait_until(f"certificate {number}", lambda n=name: served(edge.port, pairs).strip() == texts[n])
            wait_until("handshakes in between", lambda d=done: sum(nums) > d or faults)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not faults


def test_a_pair_that_does_not_match_is_refused_and_the_old_one_stays(edge, pairs):
    before = edge.process.output().count("snapshot rejected") + edge.process.output().count("snapshot not read")
    reload(edge, pairs, (pairs["a.test"][0], pairs["b.test"][1]))
    wait_until("the refusal", lambda: edge.process.output().count("snapshot rejected") +
               edge.process.output().count("snapshot not read") > before)
    assert served(edge.port, pairs).strip() == pairs["a.test"][0].strip()
    assert pairs["b.test"][1].split("\n")[1] not in edge.process.output(), "a key in the log"
