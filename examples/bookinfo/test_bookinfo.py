#!/usr/bin/python3
"""The demo shop by itself: its services, started on free ports, and real clients.

    test_bookinfo.py BIN_DIR        BIN_DIR holds bookinfo-productpage and the others
"""
import concurrent.futures
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("BOOKINFO_BIN", HERE.parent.parent / "build/release/bin"))
PATIENCE_S = 30


def wait_until(what, check):
    """Polls `check` until it gives something true; fails with `what` when that takes too long."""
    end = time.monotonic() + PATIENCE_S
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


class Service:
    """One running program of the shop."""

    def __init__(self, folder, program, *args, name=None, port=0):
        self.name = name or program
        self.log_path = folder / f"{self.name}.log"
        port_file = folder / f"{self.name}.port"
        port_file.unlink(missing_ok=True)
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [BIN / f"bookinfo-{program}", "--port", str(port), "--port-file", port_file, *args],
            stdout=self.log_file, stderr=subprocess.STDOUT)
        wait_until(f"{self.name} to listen", lambda: port_file.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(self.log_path.read_text())
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body) of one exchange on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def json(self, path, **headers):
        return json.loads(self.get(path, **headers)[2])

    def knobs(self, **values):
        status, _, body = self.request("POST", "/_knobs", json.dumps(values))
        assert status == 200, body

    def raw(self, data):
        """Everything that comes back for these bytes, until the service closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def log(self):
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self.log_file.close()
        return code


class ShopTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bookinfo-"))
        self.services = []
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(self.stop_all)

    def stop_all(self):
        codes = {service.name: service.stop() for service in reversed(self.services)}
        self.assertEqual(set(codes.values()) - {0}, set(), codes)

    def start(self, program, *args, **kwargs):
        service = Service(self.folder, program, *args, **kwargs)
        self.services.append(service)
        return service

    def start_shop(self, version="v1", page_args=(), reviews_args=()):
        self.details = self.start("details")
        self.ratings = self.start("ratings")
        self.reviews = self.start("reviews", "--version", version, "--ratings-url", self.ratings.url, *reviews_args)
        self.page = self.start("productpage", "--details-url", self.details.url, "--reviews-url", self.reviews.url,
                               "--ratings-url", self.ratings.url, *page_args)

    def start_server(self, handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_port}"


def json_handler(document, seen=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if seen is not None:
                seen.append((self.headers["Host"], self.path, dict(self.headers)))
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    return Handler


class Page(ShopTest):
    def test_every_service_is_healthy_and_names_itself(self):
        self.start_shop("v2")
        for service in self.services:
            status, headers, body = service.get("/health")
            self.assertEqual(status, 200)
            self.assertEqual(json.loads(body)["service"], service.name)
            self.assertTrue(headers["X-Served-By"].startswith(service.name))

    def test_each_version_shows_its_stars(self):
        for version, wanted in (("v1", None), ("v2", "black"), ("v3", "red")):
            with self.subTest(version):
                self.start_shop(version)
                _, headers, html = self.page.get("/productpage")
                self.assertIn("text/html", headers["Content-Type"])
                self.assertEqual(set(re.findall(r"class='stars (\w+)'", html)), {wanted} if wanted else set())
                self.assertIn(f"reviews {version}", html)
                self.assertIn("William Shakespeare", html)
                self.assertNotIn("http://", html)  # nothing from elsewhere
                self.stop_all()
                self.services.clear()

    def test_headers_travel_to_the_last_service(self):
        self.start_shop("v3")
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        self.page.get("/productpage", traceparent=trace, x_request_id="abc-1", end_user="jason", x_secret="no")
        for service in self.services:
            line = next(entry for entry in service.log() if entry.get("request_id") == "abc-1")
            self.assertEqual((line["traceparent"], line["user"]), (trace, "jason"))
        self.assertNotIn("x-secret", json.dumps(self.ratings.log()))

    def test_signing_in_sets_a_cookie_that_makes_the_user(self):
        self.start_shop("v2")
        status, headers, _ = self.page.request("POST", "/login", "username=jason&passwd=x&id=2")
        self.assertEqual((status, headers["Location"]), (303, "/productpage?id=2"))
        self.assertIn("HttpOnly", headers["Set-Cookie"])
        cookie = headers["Set-Cookie"].split(";")[0]
        _, _, html = self.page.get("/productpage?id=2", Cookie=cookie)
        self.assertIn("<em>jason</em>", html)
        self.assertIn("Frankenstein", html)
        self.assertEqual([e["user"] for e in self.ratings.log() if "user" in e], ["jason"])
        status, headers, _ = self.page.get("/logout", Cookie=cookie)
        self.assertEqual(status, 303)
        self.assertIn("Max-Age=0", headers["Set-Cookie"])

    def test_bad_names_do_not_sign_in(self):
        self.start_shop()
        for name in ("", "<b>", "a b", "x" * 33, "a%0d%0aSet-Cookie:%20b=c", "%", "%00"):
            with self.subTest(name):
                status, headers, _ = self.page.request("POST", "/login", f"username={name}")
                self.assertEqual(status, 400)
                self.assertIsNone(headers["Set-Cookie"])
        self.assertNotIn("<em>", self.page.get("/productpage", end_user="<i>x")[2])

    def test_a_rating_by_form_changes_the_stars(self):
        self.start_shop("v2")
        form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "end-user=jason"}
        status, headers, _ = self.page.request("POST", "/api/v1/products/0/ratings", "stars=1", form)
        self.assertEqual((status, headers["Location"]), (303, "/productpage?id=0&rated=1"))
        self.assertEqual(self.ratings.json("/ratings/0")["ratings"]["jason"], 1)
        self.assertIn("from 3 readers", self.page.get("/productpage?rated=1")[2])
        status, _, _ = self.page.request("POST", "/api/v1/products/0/ratings", "stars=9", form)
        self.assertEqual(status, 400)

    def test_the_api_passes_on_what_the_services_say(self):
        self.start_shop("v3")
        self.assertEqual(len(self.page.json("/api/v1/products")), 6)
        self.assertEqual(self.page.json("/api/v1/products/0")["author"], "William Shakespeare")
        self.assertEqual(self.page.json("/api/v1/products/0/reviews")["version"], "v3")
        self.assertEqual(self.page.json("/api/v1/products/0/ratings")["ratings"], {"Reviewer1": 5, "Reviewer2": 4})
        status, _, body = self.page.request("POST", "/api/v1/products/0/ratings", '{"ada":3}')
        self.assertEqual((status, json.loads(body)["ratings"]["ada"]), (200, 3))
        for path, wanted in (("/api/v1/products/99", 404), ("/api/v1/products/x", 404), ("/nothing", 404)):
            self.assertEqual(self.page.get(path)[0], wanted, path)
        self.assertEqual(self.page.request("DELETE", "/api/v1/products/0")[0], 405)

    def test_what_other_services_say_is_escaped(self):
        evil = "<script>alert('\"&</script>"
        fake = self.start_server(json_handler(
            {"version": evil, "instance": evil, "author": evil, "year": evil, "calls": [{"service": evil, "us": -5}],
             "reviews": [{"reviewer": evil, "text": evil, "rating": {"stars": 5, "color": evil, "error": evil}}]}))
        page = self.start("productpage", "--details-url", f"http://{fake}", "--reviews-url", f"http://{fake}")
        _, headers, html = page.get("/productpage?id=%3Cscript%3E")
        self.assertNotIn("<script", html)
        self.assertIn("&lt;script&gt;", html)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])

    def test_it_stands_when_the_others_are_gone_or_talk_nonsense(self):
        for url in ("http://127.0.0.1:1", "http://" + self.start_server(json_handler([1])),
                    "http://" + self.start_server(json_handler({"reviews": 5, "calls": {"a": 1}}))):
            with self.subTest(url):
                page = self.start("productpage", "--details-url", url, "--reviews-url", url)
                status, _, html = page.get("/productpage")
                self.assertEqual(status, 200)
                self.assertIn("The Comedy of Errors", html)

    def test_services_are_called_through_a_gateway_by_host(self):
        seen = []
        gateway = self.start_server(json_handler({"version": "v1", "reviews": []}, seen))
        page = self.start("productpage", "--via", gateway, "--details-url", "http://details.bookinfo",
                          "--reviews-url", "http://reviews.bookinfo")
        page.get("/productpage?id=4")
        self.assertEqual([(host, path) for host, path, _ in seen],
                         [("details.bookinfo", "/details/4"), ("reviews.bookinfo", "/reviews/4")])


class Trouble(ShopTest):
    def test_slow_ratings_take_down_the_page_of_v2_but_not_of_v3(self):
        for version, wait_ms, stands in (("v2", 5000, False), ("v3", 100, True)):
            with self.subTest(version):
                self.start_shop(version, ["--timeout-ms", "1000"], ["--ratings-timeout-ms", str(wait_ms)])
                self.ratings.knobs(delay_ms=2500, user="jason")
                _, _, html = self.page.get("/productpage", end_user="jason")
                self.assertEqual("Reviews are unavailable" not in html, stands)
                self.assertEqual("Ratings service is currently unavailable" in html, stands)
                self.assertIn("An extremely entertaining play", self.page.get("/productpage", end_user="ada")[2])
                if not stands:  # two tries of a second each
                    calls = next(e["calls"] for e in self.page.log() if e.get("user") == "jason")
                    self.assertEqual([c["service"] for c in calls], ["details", "reviews", "reviews"])
                self.stop_all()
                self.services.clear()

    def test_knobs_fail_and_reset_requests(self):
        details = self.start("details", "--fail-percent", "100", "--fail-status", "418")
        self.assertEqual(details.get("/details/0")[0], 418)
        self.assertEqual(details.get("/health")[0], 200)  # knobs trouble callers, not supervisors
        details.knobs(status=0)
        with self.assertRaises((ConnectionError, http.client.BadStatusLine)):
            details.get("/details/0")
        details.knobs(fail_percent=0)
        self.assertEqual(details.get("/details/0")[0], 200)
        self.assertEqual(details.request("DELETE", "/_knobs")[0], 200)
        self.assertEqual(json.loads(details.get("/_knobs")[2]),
                         {"delay_ms": 0, "fail_percent": 100, "status": 418, "user": ""})

    def test_bad_knobs_are_refused_and_change_nothing(self):
        details = self.start("details")
        before = details.get("/_knobs")[2]
        for body in ("", "[]", "{", '{"delay_ms":-1}', '{"delay_ms":"1"}', '{"delay_ms":1e9}', '{"fail_percent":101}',
                     '{"status":99}', '{"status":1000}', '{"user":"a b"}', '{"user":5}', '{"nonsense":1}',
                     '{"delay_ms":5,"status":7}', '{"delay_ms":1,"delay_ms":2}'):
            with self.subTest(body):
                self.assertEqual(details.request("POST", "/_knobs", body)[0], 400)
        self.assertEqual(details.get("/_knobs")[2], before)

    def test_headers_trouble_one_request_and_aim_by_name(self):
        self.start_shop("v2")
        self.assertEqual(self.page.get("/productpage", x_fail="503")[0], 503)
        self.assertIn("Ratings service is currently unavailable",
                      self.page.get("/productpage", x_fail="ratings=500")[2])
        self.assertIn("Book details are unavailable", self.page.get("/productpage", x_fail="a=1, details=500")[2])
        self.page.get("/productpage", x_delay_ms="ratings=30,details=20")
        self.assertEqual([e.get("delayed_ms") for e in self.details.log()][-1], 20)
        self.assertEqual([e.get("delayed_ms") for e in self.ratings.log()][-1], 30)
        for junk in ("x", "-1", "=", "ratings=", ",,,", "99999999999999999999", "=5", "7"):
            self.assertEqual(self.page.get("/productpage", x_fail=junk)[0], 200, junk)


class Protocol(ShopTest):
    def test_malformed_requests_are_refused_and_harm_nobody(self):
        details = self.start("details")
        ok = b"GET /details/0 HTTP/1.1\r\nHost: a\r\n"
        cases = {
            b"GET / HTTP/1.1\r\n\r\n": 400,
            b"GET /\r\n\r\n": 400,
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
            b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
            b"GET / HTTP/2.0\r\nHost: a\r\n\r\n": 505,
            b"GET / HTTP/1.1\nHost: a\n\n": 400,
            ok + b"a : b\r\n\r\n": 400,
            ok + b": b\r\n\r\n": 400,
            ok + b" folded\r\n\r\n": 400,
            ok + b"a: b\0c\r\n\r\n": 400,
            ok + b"a: b\rc\r\n\r\n": 400,
            ok + b"Content-Length: +5\r\n\r\n": 400,
            ok + b"Content-Length: 5, 5\r\n\r\n": 400,
            ok + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n": 400,
            ok + b"Content-Length: 99999999999999999999\r\n\r\n": 400,
            ok + b"Content-Length: 9999999\r\n\r\n": 413,
            ok + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
            ok + b"Transfer-Encoding: gzip\r\n\r\n": 501,
            ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n": 400,
            ok + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n": 400,
            ok + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n": 400,
            ok + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n": 413,
            ok + b"a: b\r\n" * 101 + b"\r\n": 431,
            ok + b"a: " + b"b" * 40000 + b"\r\n\r\n": 431,
        }
        for request, wanted in cases.items():
            with self.subTest(request[:80]):
                answer = details.raw(request + ok + b"\r\n")
                self.assertEqual(answer.split()[1], str(wanted).encode(), answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1)  # the connection ended there
        for cut in (b"", b"GET", ok, ok + b"Content-Length: 9\r\n\r\nabc", ok + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"):
            self.assertEqual(details.raw(cut), b"")
        self.assertEqual(details.get("/details/0")[0], 200)

    def test_connections_are_kept_pipelined_and_closed_when_asked(self):
        details = self.start("details")
        get = b"GET /details/0 HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertEqual(details.raw(get * 5).count(b"HTTP/1.1 200"), 5)
        self.assertEqual(details.raw(get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") * 2)
                         .count(b"HTTP/1.1 200"), 1)
        self.assertEqual(details.raw(get.replace(b"1.1", b"1.0") * 2).count(b"HTTP/1.1 200"), 1)

    def test_head_has_the_length_and_no_body(self):
        details = self.start("details")
        _, headers, body = details.get("/details/0")
        status, head_headers, nothing = details.request("HEAD", "/details/0")
        self.assertEqual((status, head_headers["Content-Length"], nothing), (200, headers["Content-Length"], ""))

    def test_bodies_come_by_length_by_chunks_and_after_continue(self):
        ratings = self.start("ratings")
        head = b"POST /ratings/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n{\"a\"\r\n3\r\n:4}\r\n0\r\nTrailer: 1\r\n\r\n"
        self.assertIn(b'"a":4', ratings.raw(chunked))
        expecting = head + b"Content-Length: 7\r\nExpect: 100-continue\r\n\r\n{\"b\":2}"
        answer = ratings.raw(expecting)
        self.assertTrue(answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), answer)
        for body in ('{"a":6}', '{"a":0}', '{"a":"5"}', '{"a b":5}', "{}", "[]", "5", "{", '{"":1}'):
            self.assertEqual(ratings.request("POST", "/ratings/0", body)[0], 400, body)
        self.assertEqual(ratings.json("/ratings/7")["ratings"], {"a": 4, "b": 2})

    def test_stopping_finishes_open_requests_and_ends_idle_connections(self):
        details = self.start("details")
        idle = http.client.HTTPConnection("127.0.0.1", details.port, timeout=PATIENCE_S)
        idle.request("GET", "/details/0")
        idle.getresponse().read()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            slow = [pool.submit(details.get, "/details/0", x_delay_ms="1000") for _ in range(8)]
            # a request is at work once the service has taken its connection; the log comes only after
            wait_until("the requests to be at work", lambda: thread_count(details.process.pid) >= 10)
            details.process.send_signal(signal.SIGTERM)
            self.assertEqual([f.result()[0] for f in slow], [200] * 8)
        self.assertEqual(idle.sock.recv(1), b"")
        idle.close()
        self.assertEqual(details.process.wait(PATIENCE_S), 0)
        self.assertEqual(details.log()[-1]["cut_off"], 0)

    def test_a_kept_connection_that_died_is_replaced(self):
        self.start_shop("v2")
        stars = "class='stars"
        self.assertIn(stars, self.page.get("/productpage")[2])
        self.services.remove(self.ratings)
        self.ratings.stop()
        self.ratings = self.start("ratings", port=self.ratings.port)
        self.assertIn(stars, self.page.get("/productpage")[2])

    def test_many_clients_at_once_are_all_served(self):
        self.start_shop("v3")
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda i: self.page.get(f"/productpage?id={i % 6}"), range(200)))
        self.assertEqual({status for status, _, _ in answers}, {200})
        self.assertFalse([html for _, _, html in answers if "unavailable" in html])

    def test_options_are_checked(self):
        for program, args in (("reviews", ["--version", "v9"]), ("details", ["--port", "70000"]),
                              ("details", ["--nonsense"]), ("details", ["--port"]), ("details", ["--quiet=1"]),
                              ("productpage", ["--reviews-url", "ftp://a"]), ("productpage", ["--via", "a:b:c"]),
                              ("details", ["--fail-status", "7"]), ("details", ["--listen", "nowhere"])):
            with self.subTest(args):
                run = subprocess.run([BIN / f"bookinfo-{program}", *args], capture_output=True, timeout=PATIENCE_S)
                self.assertEqual(run.returncode, 2)
                self.assertIn(f"bookinfo-{program}: ".encode(), run.stderr)
        run = subprocess.run([BIN / "bookinfo-reviews", "--help"], capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(run.returncode, 0)
        self.assertIn(b"--ratings-url", run.stdout)


def thread_count(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


class Grpc(ShopTest):
    """The messages are those protoc reads from the .proto file, so that file and program cannot drift apart."""

    @classmethod
    def setUpClass(cls):
        try:
            import grpc
            from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        except ImportError as e:
            raise unittest.SkipTest(f"SKIP: {e} (python3-grpcio, python3-protobuf)")
        if shutil.which("protoc") is None:
            raise unittest.SkipTest("SKIP: no protoc (protobuf-compiler)")
        cls.grpc = grpc
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["protoc", f"-I{HERE}/proto", "ratings.proto", f"--descriptor_set_out={out.name}"], check=True)
            files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        factory = message_factory.MessageFactory(pool)
        cls.message = {name: factory.GetPrototype(pool.FindMessageTypeByName(f"bookinfo.{name}"))
                       for name in ("RatingsRequest", "Rating", "RatingsReply", "RateRequest", "RateSummary", "ChatMessage")}

    def setUp(self):
        super().setUp()
        self.server = self.start("ratings-grpc")
        self.channel = self.grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.addCleanup(self.channel.close)

    def method(self, kind, name, reply):
        return getattr(self.channel, kind)(f"/bookinfo.Ratings/{name}",
                                           request_serializer=lambda m: m.SerializeToString(),
                                           response_deserializer=self.message[reply].FromString)

    def get(self, product, **kwargs):
        return self.method("unary_unary", "GetRatings", "RatingsReply")(
            self.message["RatingsRequest"](product_id=product), timeout=kwargs.pop("timeout", PATIENCE_S), **kwargs)

    def rate(self, *ratings):
        messages = [self.message["RateRequest"](product_id=p, rating=self.message["Rating"](reviewer=r, stars=s))
                    for p, r, s in ratings]
        return self.method("stream_unary", "RateMany", "RateSummary")(iter(messages), timeout=PATIENCE_S)

    def assert_fails(self, code, call):
        with self.assertRaises(self.grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code)
        return caught.exception.details()

    def test_unary(self):
        reply = self.get(0)
        self.assertEqual({r.reviewer: r.stars for r in reply.ratings}, {"Reviewer1": 5, "Reviewer2": 4})
        self.assertEqual(reply.served_by, f"ratings-grpc-v1-{self.server.port}")

    def test_errors_come_as_status_and_text(self):
        code = self.grpc.StatusCode
        self.assertEqual(self.assert_fails(code.NOT_FOUND, lambda: self.get(99)), "no ratings for product 99")
        self.assert_fails(code.UNIMPLEMENTED, lambda: self.channel.unary_unary("/bookinfo.Ratings/Nope")(b""))
        raw = self.channel.unary_unary("/bookinfo.Ratings/GetRatings")
        for junk in (b"\x08", b"\xff" * 12, b"\x0a\x05a", b"\x00", b"\x0b\x00"):
            self.assert_fails(code.INVALID_ARGUMENT, lambda: raw(junk))
        self.assert_fails(code.RESOURCE_EXHAUSTED, lambda: raw(b"x" * (1024 * 1024 + 1)))
        two = self.channel.stream_unary("/bookinfo.Ratings/GetRatings")
        self.assert_fails(code.INTERNAL, lambda: two(iter([b"", b""])))
        self.assert_fails(code.INTERNAL, lambda: two(iter([])))
        self.assertEqual(len(self.get(0).ratings), 2)

    def test_watching_sees_the_present_and_every_change(self):
        watch = self.method("unary_stream", "WatchRatings", "RatingsReply")(
            self.message["RatingsRequest"](product_id=1, limit=3), timeout=PATIENCE_S)
        first = next(watch)
        self.assertEqual(len(first.ratings), 2)
        for i, stars in enumerate((1, 2)):
            self.rate((1, "ada", stars))
            again = next(watch)
            self.assertIn(("ada", stars), [(r.reviewer, r.stars) for r in again.ratings])
            self.assertGreater(again.revision, first.revision + i)
        self.assertEqual(list(watch), [])  # the limit ends it
        self.assertEqual(watch.code(), self.grpc.StatusCode.OK)

    def test_rating_many_counts_what_it_takes(self):
        summary = self.rate(*[(0, f"r{i}", i % 7) for i in range(70)], (0, "no good", 3))
        self.assertEqual((summary.accepted, summary.refused), (50, 21))

    def test_chat_answers_each_message_before_the_next(self):
        chat = self.method("stream_stream", "Chat", "ChatMessage")
        asked = []

        def talk():
            for i in range(100):
                asked.append(i)
                yield self.message["ChatMessage"](text=f"hello {i}")
                wait_until("the answer", lambda: len(heard) > i)

        heard = []
        for answer in chat(talk(), timeout=PATIENCE_S):
            heard.append(answer)
            self.assertEqual((answer.text, answer.number), (f"hello {len(heard) - 1}", len(heard)))
        self.assertEqual(len(heard), 100)

    def test_large_chats_are_bounded_by_flow_control(self):
        text = "x" * 500_000
        answers = self.method("stream_stream", "Chat", "ChatMessage")(
            iter([self.message["ChatMessage"](text=text)] * 60), timeout=PATIENCE_S)
        self.assertEqual([len(a.text) for a in answers], [len(text)] * 60)

    def test_deadlines_are_kept_by_the_server(self):
        self.assert_fails(self.grpc.StatusCode.DEADLINE_EXCEEDED,
                          lambda: self.get(0, timeout=0.2, metadata=[("x-delay-ms", "10000")]))
        line = wait_until("the call to end", lambda: [e for e in self.server.log() if "messages_in" in e])[-1]
        self.assertTrue(line.get("cancelled") or line["grpc_status"] == 4, line)
        self.assertLess(line["ms"], 5000)

    def test_a_deadline_the_client_does_not_watch_ends_as_a_status(self):
        run = subprocess.run(
            ["curl", "-s", "-i", "--raw", "--http2-prior-knowledge", "-H", "content-type: application/grpc",
             "-H", "grpc-timeout: 50m", "-H", "x-delay-ms: 60000", "--data-binary", "@-",
             f"{self.server.url}/bookinfo.Ratings/GetRatings"], input=b"\0\0\0\0\0", capture_output=True,
            timeout=PATIENCE_S)
        self.assertIn(b"grpc-status: 4", run.stdout)
        self.assertEqual(run.stdout.count(b"HTTP/2 200"), 1)  # trailers only

    def test_knobs_give_grpc_codes(self):
        code = self.grpc.StatusCode
        self.assert_fails(code.UNAVAILABLE, lambda: self.get(0, metadata=[("x-fail", "14")]))
        self.assert_fails(code.INTERNAL, lambda: self.get(0, metadata=[("x-fail", "ratings-grpc=0")]))
        self.assertEqual(len(self.get(0, metadata=[("x-fail", "99")]).ratings), 2)

    def test_health_checks_and_watches(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b""), b"\x08\x01")
        self.assertEqual(check(b"\x0a\x10bookinfo.Ratings"), b"\x08\x01")
        self.assert_fails(self.grpc.StatusCode.NOT_FOUND, lambda: check(b"\x0a\x01x"))
        watch = self.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=PATIENCE_S)
        self.assertEqual(next(watch), b"\x08\x01")
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(watch), b"\x08\x02")
        self.assert_fails(self.grpc.StatusCode.UNAVAILABLE, lambda: next(watch))

    def test_stopping_lets_calls_finish(self):
        call = self.method("unary_unary", "GetRatings", "RatingsReply").future(
            self.message["RatingsRequest"](product_id=0), metadata=[("x-delay-ms", "500")], timeout=PATIENCE_S)
        asked = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        asked(b"")  # on the same connection: the call above has reached the server
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(len(call.result().ratings), 2)
        self.assertEqual(self.server.process.wait(PATIENCE_S), 0)

    def test_plain_http_and_nonsense_are_answered_or_dropped(self):
        def curl(path, *args):
            run = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--http2-prior-knowledge",
                                  *args, self.server.url + path], capture_output=True, timeout=PATIENCE_S)
            return int(run.stdout)

        self.assertEqual(curl("/health"), 200)
        self.assertEqual(curl("/_knobs", "-d", '{"delay_ms":1}'), 200)
        self.assertEqual(curl("/_knobs", "-d", '{"status":17}'), 400)
        self.assertEqual(curl("/other"), 404)
        self.assertEqual(curl("/bookinfo.Ratings/GetRatings"), 415)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        self.server.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.server.raw(preface + b"\0\0\4\4\0\0\0\0\0abcd")
        self.server.raw(preface + os.urandom(4096))
        self.server.raw(preface + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\0\0\0\0\1\x83")  # a head that goes on, and does not
        self.assertEqual(curl("/health"), 200)


class Manifests(unittest.TestCase):
    def test_ports_are_replaced_by_name_and_the_rest_stays(self):
        files = sorted(HERE.glob("manifests/**/*.yaml"))
        self.assertGreater(len(files), 8)
        names = set(re.findall(r"# \$\{(\w+)\}$", "".join(f.read_text() for f in files), re.M))
        self.assertEqual(names, {"HTTP_PORT", "HTTPS_PORT", "INTERNAL_PORT", "PRODUCTPAGE_PORT", "DETAILS_PORT",
                                 "RATINGS_PORT", "RATINGS_GRPC_PORT", "REVIEWS_V1_PORT", "REVIEWS_V2_PORT",
                                 "REVIEWS_V3_PORT"})
        ports = {name: str(20000 + i) for i, name in enumerate(sorted(names))}
        plain = subprocess.run([HERE / "render", *files], env={"PATH": os.environ["PATH"]}, check=True,
                               capture_output=True, text=True).stdout
        self.assertEqual(plain, "---\n".join(f.read_text() for f in files))
        moved = subprocess.run([HERE / "render", *files], env={**os.environ, **ports}, check=True,
                               capture_output=True, text=True).stdout
        for line in moved.splitlines():
            found = re.search(r"(\d+) # \$\{(\w+)\}$", line)
            if found:
                self.assertEqual(found.group(1), ports[found.group(2)])
        refused = subprocess.run([HERE / "render", files[0]], env={**os.environ, "HTTP_PORT": "1; x"}, capture_output=True)
        self.assertNotEqual(refused.returncode, 0)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        BIN = pathlib.Path(sys.argv.pop(1))
    unittest.main(verbosity=2)
