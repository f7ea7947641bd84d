"""Routing and policy cannot be walked around: one normal form of a path is matched and forwarded, one host is decided on,
and only listed proxies say who the client is."""
import copy
import json
import ssl
import urllib.parse

import pytest

from lib.gateway import make_certificate
from lib.http2 import Http2
from lib.upstream import Echo, Raw
from lib.wire import Client, ask, get

# ---- paths ----

DENY = {"matches": [{"path": "/admin"}], "filters": {"redirect": {"hostname": "denied.test", "status": 302}}}
SPELLINGS = [
    "/admin", "/admin/", "/admin/users", "/admin?x=1", "/admin/?x", "//admin", "///admin/users", "/./admin", "/.//admin",
    "/x/../admin", "/x/../admin/users", "/x/y/../../admin", "/../admin", "/../../admin", "/x/./../admin", "/admin/.",
    "/admin/./users", "/admin//users", "/admin/x/..", "/admin/../admin/users", "/%61dmin", "/%61%64%6d%69%6e", "/%61%64%6D%69%6E/users",
    "/admi%6e", "/%2e/admin", "/x/%2e%2e/admin", "/x/%2E%2E/admin", "/x/.%2e/admin", "/x/%2e./admin", "/%2e%2e/admin",
    "/x/..%2fadmin", "/x%2f..%2fadmin", "/%2fadmin", "/%2Fadmin", "/admin%2fusers", "/admin%2Fusers", "/x/%2e%2e%2fadmin",
    "/%5cadmin", "/x/..%5cadmin", "/\\admin", "/x\\..\\admin", "/x/..\\admin", "/admin\\users", "/admin%5cusers",
    "/%2561dmin", "/%25%36%31dmin", "/x/%252e%252e/admin", "/%252fadmin", "/admin%252fusers", "/x/..%252fadmin", "/%25252e%25252e/admin",
    "/admin;x", "/admin;x=1/users", "/admin;/users", "/;/admin", "/x;/../admin", "/x/..;/admin", "/x/..;a=b/admin", "/.;/admin",
    "/x/%2e%2e;/admin", "/admin%3bx", "/admin%3Bx/users", "/x/..%3b/admin", "/admin%00", "/admin%00/users", "/%00/../admin",
    "/admin%0a", "/admin%0d%0a", "/admin%09", "/admin%7f", "/admin#", "/admin#x", "/x#/../admin", "/x%23/../admin",
    "/%c0%afadmin", "/x/..%c0%afadmin", "/%c0%ae%c0%ae/admin", "/x/%c0%ae%c0%ae/admin", "/%e0%80%afadmin", "/%f0%80%80%afadmin",
    "/%u0061dmin", "/%u002e%u002e/admin", "/x/%uff0e%uff0e/admin", "/admin%", "/admin%2", "/admin%zz", "/%%61dmin", "/admin/%2e",
    "/admin/%2e%2e/admin", "/%E2%88%95admin", "/x/../%61dmin", "//x/..//admin", "/x//../admin", "/x/..//admin", "/x/.../../../admin",
    "http://a.test/admin", "http://a.test//admin", "http://a.test/x/../admin", "http://a.test/%61dmin/", "HTTP://a.test/admin",
]
# For these a server may decode what we do not; the upstream may see them, as they are not under /admin in any full decode.
FREE = {"/administrator": "/administrator", "/Admin2": "/Admin2", "/x/admin": "/x/admin", "/admin-x": "/admin-x", "/x/%7euser": "/x/~user",
        "/a%20b": "/a%20b", "/a%2Bb+c": "/a+b+c", "/admin/../x": "/x", "/admin/..": "/", "/x?../admin": "/x?../admin",
        "/x?a=%2fadmin": "/x?a=%2fadmin", "/x?/../admin": "/x?/../admin", "/%E2%82%AC": "/%E2%82%AC", "/x:y@z": "/x:y@z", "/...": "/..."}


@pytest.fixture(scope="module")
def denying(upstream, shared_proxy):
    return shared_proxy(upstream.port, rules=[DENY, {"matches": [{}], "backends": [{"cluster": "c"}]}])[1]


def full_decodes(path):
    """All that a server could make of the path by decoding again and again, in its common dialects."""
    seen, text = [], path
    for _ in range(6):
        seen.append(text)
        for dialect in (text.replace("\\", "/"), text.split("#")[0], text.split("\0")[0],
                        "/".join(part.split(";")[0] for part in text.split("/"))):
            seen.append(dialect)
        text = urllib.parse.unquote(text, "latin1")
    for text in list(seen):
        parts = []
        for part in text.split("/"):
            part = part.strip(" \t\r\n\0")
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        seen.append("/" + "/".join(parts))
    return seen


def check_nothing_denied(upstream):
    for message in upstream.requests():
        path = message.target.split("?")[0]
        assert not any(text == "/admin" or text.startswith("/admin/") for text in full_decodes(path)), message.target


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_reaches_a_denied_prefix(spelling, denying, upstream):
    before = len(upstream.requests())
    answer = ask(denying, b"GET %s HTTP/1.1\r\nhost: a.test\r\n\r\n" % spelling.encode())
    assert answer is not None
    assert answer.status in (302, 400, 200), answer.status
    check_nothing_denied(upstream)
    if answer.status != 200:
        assert len(upstream.requests()) == before
    if spelling.startswith("/") and all(32 < ord(c) < 127 and c != "#" for c in spelling):
        with Http2(denying) as client:
            assert client.get(1, spelling.encode())[0] in (302, 400, 200)
        check_nothing_denied(upstream)


@pytest.mark.parametrize("spelling", FREE)
def test_what_is_not_denied_arrives_in_its_normal_form(spelling, denying):
    assert get(denying, spelling).body == FREE[spelling].encode()


# ---- hosts ----

HOST_REFUSED = ["", "a.test, b.test", "a.test b.test", "u@a.test", "u:p@a.test", "a.test/x", "a.test?x", "a.test#x", "a.test\\x", "a.test:",
                "a.test:x", "a.test:0", "a.test:65536", "a.test:999999", "a.test:80:80", "a.test:+80", "a.test:8 0", "a..test", ".a.test",
                "%61.test", "a.test%00", "a.test\t.b", "[::1", "::1", "[::1]x", "[zz]", "[::1%25eth0]", "http://a.test", "\"a.test\"",
                "<a.test>", "a.test;b", "a=b.test", "*.test", "a" * 300 + ".test", "ä.test"]
HOST_TAKEN = {"A.TEST": "a", "a.test:1234": "a", "a.test.": "a", "A.Test.:80": "a", "b.test": "b", "c.test": None, "test": None,
              "xa.test": None, "a.test.b": None, "a.testx": None, "[::1]": None, "127.0.0.1": None}


def named(resources):
    """Hosts a.test and b.test have a route each on a listener of their own; nothing else is served."""
    listener = next(r for r in resources if r["kind"] == "listener")
    first = next(r for r in resources if r["kind"] == "route")
    listener["spec"]["servers"] = [{"name": f"d/g/{n}", "hostname": f"{n}.test"} for n in "ab"]
    resources.remove(first)
    for name in "ab":
        rule = {"matches": [{}], "backends": [{"cluster": "c"}],
                "filters": {"requestHeaders": {"set": [{"name": "x-route", "value": name}]}}}
        copied = copy.deepcopy(first)
        copied["name"] = copied["name"] + name
        copied["spec"].update(object="r" + name, rules=[rule],
                              attachments=[{"listener": listener["name"], "server": f"d/g/{name}"}])
        resources.append(copied)


@pytest.fixture(scope="module")
def by_name(upstream, shared_proxy):
    return shared_proxy(upstream.port, change=named)[1]


def route_of(upstream, target):
    found = [message for message in upstream.requests() if message.target == target]
    assert len(found) <= 1
    return found[0].get("x-route") if found else None


@pytest.mark.parametrize("host", HOST_REFUSED)
def test_host_is_refused(host, by_name, upstream):
    target = f"/host/refused/{HOST_REFUSED.index(host)}"
    answer = get(by_name, target, host=host.encode())
    assert answer.status in (400, 404)
    assert target not in upstream.targets()
    if host and all(32 <= ord(c) < 127 for c in host):
        with Http2(by_name) as client:
            status, _ = client.get(1, target.encode(), authority=host.encode())
            assert status in (None, 400, 404)
        assert target not in upstream.targets()


@pytest.mark.parametrize("host", HOST_TAKEN)
def test_host_decides(host, by_name, upstream):
    target = f"/host/taken/{list(HOST_TAKEN).index(host)}"
    answer = get(by_name, target, host=host.encode())
    assert answer.status == (404 if HOST_TAKEN[host] is None else 200)
    assert route_of(upstream, target) == HOST_TAKEN[host]


TWO_HOSTS = {
    "two": b"GET /two/1 HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
    "two_equal": b"GET /two/2 HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n",
    "two_cases": b"GET /two/3 HTTP/1.1\r\nHost: a.test\r\nHOST: b.test\r\n\r\n",
    "none": b"GET /two/4 HTTP/1.1\r\n\r\n",
    "space_before_colon": b"GET /two/5 HTTP/1.1\r\nhost : b.test\r\nhost: a.test\r\n\r\n",
    "folded": b"GET /two/6 HTTP/1.1\r\nhost: a.test\r\n host: b.test\r\n\r\n",
    "absolute_bad": b"GET http://a.test@b.test/two/7 HTTP/1.1\r\nhost: a.test\r\n\r\n",
    "absolute_empty": b"GET http:///two/8 HTTP/1.1\r\nhost: a.test\r\n\r\n",
    "absolute_other_scheme": b"GET https://a.test/two/9 HTTP/1.1\r\nhost: a.test\r\n\r\n",
    "absolute_ftp": b"GET ftp://a.test/two/10 HTTP/1.1\r\nhost: a.test\r\n\r\n",
    "absolute_bad_host": b"GET http://a.test/two/11 HTTP/1.1\r\nhost: u@b.test\r\n\r\n",
    "absolute_without_host": b"GET http://a.test/two/12 HTTP/1.1\r\n\r\n",
    "authority_form": b"GET a.test:80 HTTP/1.1\r\nhost: a.test\r\n\r\n",
}


@pytest.mark.parametrize("name", TWO_HOSTS)
def test_two_hosts_are_refused(name, by_name, upstream):
    before = len(upstream.requests())
    assert ask(by_name, TWO_HOSTS[name]).status == 400
    assert len(upstream.requests()) == before


def test_the_absolute_form_overrides_host(by_name, upstream):
    answer = ask(by_name, b"GET http://b.test/absolute HTTP/1.1\r\nhost: a.test\r\n\r\n")
    assert answer.status == 200 and route_of(upstream, "/absolute") == "b"
    assert [m.get("host") for m in upstream.requests() if m.target == "/absolute"] == ["b.test"]


# ---- one certificate, another host ----

@pytest.fixture(scope="module")
def tls_names(upstream, shared_proxy, tmp_path_factory):
    pair = make_certificate(tmp_path_factory.mktemp("tls"), "a.test", "b.test")

    def change(resources):
        named(resources)
        listener = next(r for r in resources if r["kind"] == "listener")
        for server in listener["spec"]["servers"]:
            server["certificates"] = ["d/tls"]

    port = shared_proxy(upstream.port, change=change, certificate=pair)[1]
    context = ssl.create_default_context(cadata=pair[0])
    return port, context


@pytest.mark.parametrize("sni,host,status", [("a.test", "a.test", 200), ("a.test", "A.test.:443", 200), ("a.test", "b.test", 421),
                                             ("b.test", "a.test", 421), ("a.test", "c.test", 421)])
def test_another_host_than_the_handshake_named_is_421(sni, host, status, tls_names):
    port, context = tls_names
    assert get(port, "/sni", host=host.encode(), tls=context, name=sni).status == status
    context.set_alpn_protocols(["h2"])
    try:
        with Http2(port, tls=context, name=sni) as client:
            assert client.get(1, b"/sni", scheme=b"https", authority=host.encode())[0] == status
    finally:
        context.set_alpn_protocols(["http/1.1"])


def test_an_unknown_name_gets_no_certificate(tls_names):
    port, context = tls_names
    with pytest.raises((ssl.SSLError, ConnectionError)):
        get(port, "/", tls=context, name="c.test")


# ---- headers about the client ----

@pytest.fixture(scope="module")
def echo(module_stopping):
    server = Echo()
    module_stopping.append(server)
    return server


@pytest.fixture(scope="module")
def distrusting(echo, shared_proxy):
    return shared_proxy(echo.port)[1]


@pytest.fixture(scope="module")
def trusting(echo, shared_proxy):
    return shared_proxy(echo.port, settings={"trustedProxies": ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"]})[1]


def told(port, *lines, host=b"a.test"):
    answer = get(port, "/", b"".join(line + b"\r\n" for line in lines), host=host)
    assert answer.status == 200
    found = {}
    for name, value in json.loads(answer.body)["headers"]:
        found.setdefault(name, []).append(value)
    return found


SPOOFS = [b"x-forwarded-for: 6.6.6.6", b"X-Forwarded-For: 6.6.6.6, 7.7.7.7", b"forwarded: for=6.6.6.6", b"x-real-ip: 6.6.6.6",
          b"x-forwarded-proto: https", b"x-forwarded-host: evil.test", b"x-forwarded-port: 666", b"x-forwarded-server: evil",
          b"x-forwarded-prefix: /evil", b"x-forwarded-scheme: https", b"x-forwarded-ssl: on", b"x-forwarded-user: root",
          b"x-forwarded-client-cert: By=evil", b"X-Forwarded-Client-Cert: Hash=evil", b"x-original-url: /admin",
          b"x-original-uri: /admin", b"x-rewrite-url: /admin", b"x-original-host: evil.test", b"x-original-method: DELETE",
          b"cf-connecting-ip: 6.6.6.6", b"fastly-client-ip: 6.6.6.6", b"x-envoy-external-address: 6.6.6.6",
          b"x-client-ip: 6.6.6.6", b"true-client-ip: 6.6.6.6", b"x-cluster-client-ip: 6.6.6.6", b"x-selvedge-user: root",
          b"proxy: http://evil.test", b"x_forwarded_for: 6.6.6.6", b"X_Real_IP: 6.6.6.6", b"x-forwarded_for: 6.6.6.6",
          b"x_user: root", b"_: root", b"content_length: 99", b"host_: evil"]


@pytest.mark.parametrize("spoof", SPOOFS)
def test_a_stranger_says_nothing_about_himself(spoof, distrusting):
    found = told(distrusting, spoof)
    ours = {"x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": ["http"], "x-forwarded-host": ["a.test"],
            "x-forwarded-port": [str(distrusting)]}
    for name, values in ours.items():
        assert found.pop(name) == values, name
    value = spoof.split(b":", 1)[1].strip().decode()
    assert value not in [v for values in found.values() for v in values], found
    assert not [name for name in found if "_" in name or name.startswith("x-forwarded") or name.startswith("x-selvedge")]


@pytest.mark.parametrize("nominated", ["x-forwarded-for", "x-forwarded-proto, x-forwarded-host", "X-Forwarded-For", "x-request-id, traceparent",
                                       "close, x-forwarded-for", "x-forwarded-port", "host", "content-length", "forwarded"])
def test_connection_cannot_take_our_headers_away(nominated, distrusting):
    """CVE-2024-45410: what Connection names is dropped before ours are added."""
    found = told(distrusting, b"connection: " + nominated.encode(), b"x-forwarded-for: 6.6.6.6")
    assert found["x-forwarded-for"] == ["127.0.0.1"] and found["host"] == ["a.test"]
    for name in ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id"):
        assert len(found[name]) == 1
    assert "connection" not in found or "forwarded" not in found["connection"][0]


def test_connection_takes_away_what_it_names(distrusting):
    found = told(distrusting, b"connection: x-mine, keep-alive", b"x-mine: 1", b"keep-alive: 300", b"x-other: 2", b"te: gzip, trailers",
                 b"proxy-connection: close", b"http2-settings: AAMAAABk", b"upgrade: h2c")
    assert found["x-other"] == ["2"]
    assert not {"x-mine", "keep-alive", "proxy-connection", "http2-settings", "upgrade"} & found.keys()
    assert found.get("te", ["trailers"]) == ["trailers"]


# (what the header says, what the upstream's X-Real-IP says: the client we believe in)
HOPS = [
    ("6.6.6.6", "6.6.6.6"), ("6.6.6.6, 10.0.0.1", "6.6.6.6"), ("7.7.7.7, 6.6.6.6, 10.0.0.1, 10.0.0.2", "6.6.6.6"),
    ("10.0.0.1, 6.6.6.6", "6.6.6.6"), ("10.9.9.9, 10.0.0.1", "10.9.9.9"), ("127.0.0.1, 6.6.6.6", "6.6.6.6"),
    ("2001:db8::6", "2001:db8::6"), ("[2001:db8::6]", "2001:db8::6"), ("[2001:db8::6]:443", "2001:db8::6"), ("6.6.6.6:1234", "6.6.6.6"),
    ("7.7.7.7, 2001:db8:1::1", "7.7.7.7"), ("2001:db8:2::1, 2001:db8:1::1", "2001:db8:2::1"), ("6.6.6.6, ::ffff:10.0.0.1", "6.6.6.6"),
    ("garbage", "127.0.0.1"), ("6.6.6.6, garbage", "127.0.0.1"), ("6.6.6.6, garbage, 10.0.0.1", "10.0.0.1"), ("6.6.6.6,,10.0.0.1", "10.0.0.1"),
    ("6.6.6.6, 10.0.0.1,", "127.0.0.1"), ("unknown, 10.0.0.1", "10.0.0.1"), ("6.6.6.256", "127.0.0.1"), ("06.6.6.6", "127.0.0.1"),
    ("6.6.6", "127.0.0.1"), ("0x6060606", "127.0.0.1"), ("6.6.6.6 7.7.7.7", "127.0.0.1"), ("[6.6.6.6", "127.0.0.1"), ("_hidden", "127.0.0.1"),
    ("::1%eth0", "127.0.0.1"), ("'6.6.6.6'", "127.0.0.1"), ("6.6.6.6\t,\t10.0.0.1", "6.6.6.6"),
    (", ".join(["6.6.6.6"] + ["10.0.0.1"] * 500), "6.6.6.6"),
]


@pytest.mark.parametrize("chain,client", HOPS, ids=range(len(HOPS)))
def test_the_client_is_the_last_that_nobody_vouches_for(chain, client, trusting):
    found = told(trusting, b"x-forwarded-for: " + chain.encode(), b"x-real-ip: 9.9.9.9")
    assert found["x-real-ip"] == [client]
    assert len(found["x-forwarded-for"]) == 1 and found["x-forwarded-for"][0].endswith("127.0.0.1")


def test_a_listed_proxy_is_believed(trusting):
    found = told(trusting, b"x-forwarded-for: 7.7.7.7", b"x-forwarded-for: 6.6.6.6", b"x-forwarded-proto: https",
                 b"x-forwarded-host: shop.test", b"x-forwarded-port: 443", b"forwarded: for=6.6.6.6;proto=https")
    assert found["x-forwarded-for"] == ["7.7.7.7, 6.6.6.6, 127.0.0.1"] and found["x-forwarded-proto"] == ["https"]
    assert found["x-forwarded-host"] == ["shop.test"] and found["x-forwarded-port"] == ["443"]
    assert found["forwarded"] == ["for=6.6.6.6;proto=https, for=127.0.0.1;proto=http"]


@pytest.mark.parametrize("line", [b"x-forwarded-proto: javascript", b"x-forwarded-host: u@evil", b"x-forwarded-host: a b",
                                  b"x-forwarded-port: 70000", b"x-forwarded-port: x", b"x-forwarded-proto: HTTPS, http"])
def test_a_listed_proxy_is_believed_what_makes_sense(line, trusting):
    found = told(trusting, line)
    assert found["x-forwarded-proto"] == ["http"] and found["x-forwarded-host"] == ["a.test"]
    assert found["x-forwarded-port"] == [str(trusting)]


@pytest.mark.parametrize("trusted", [[], ["127.0.0.1"]])
def test_a_cause_from_behind_is_for_listed_proxies_only(trusted, make_proxy, make_raw):
    def answer(sock, record):
        Raw.read_head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nX-Selvedge-Cause: no_endpoint\r\n\r\n")
    _, port = make_proxy(make_raw(answer).port, settings={"trustedProxies": trusted})
    with Client(port) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.answer().get("x-selvedge-cause") == ("no_endpoint" if trusted else None)


def test_trust_is_of_the_connection_and_ends_with_the_configuration(echo, make_proxy):
    from lib.gateway import simple_resources
    from lib.process import wait_until
    proxy, port = make_proxy(echo.port, settings={"trustedProxies": ["127.0.0.1"]})

    def said(client):
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6\r\n\r\n")
        return dict(json.loads(client.answer().body)["headers"])["x-forwarded-for"]

    with Client(port) as client:
        assert said(client) == "6.6.6.6, 127.0.0.1"
        proxy.reload(simple_resources(port, echo.port, settings={"trustedProxies": ["192.0.2.1"]}))
        wait_until("the connection to lose its trust", lambda: said(client) == "127.0.0.1")
