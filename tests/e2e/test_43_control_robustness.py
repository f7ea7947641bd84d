"""What the control process must withstand: kills, broken disks and files, hostile calls, slow watchers."""
import codecs
import http.client
import json
import os
import random
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import pytest

from lib.control import GATEWAY, YAML, Control, route, service
from lib.gateway import UnixConnection
from lib.process import BIN, ROOT, free_port, wait_until

IS_LONG = os.environ.get("SELVEDGE_LONG") == "1"
SERVICES = "/api/v1/namespaces/default/services"
SECRETS = "/api/v1/namespaces/default/secrets"
MERGE = "application/merge-patch+json"
THREADS = 16
KILL_ROUNDS, KILL_WRITES = (100, 10000) if IS_LONG else (8, 1250)
KILL_ROUNDS_A_FILE = 8  # then a new database: copying and checking one that grows is all that would be measured


# ---- memory ----

def peak_mb(control):
    with open(f"/proc/{control.process.popen.pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024


def test_many_changes_of_a_large_object_are_not_all_held_in_memory(control):
    """A conflict and a diff tell what changed over a range of the log; it was held whole, 150 MB for these."""
    maps = "/api/v1/namespaces/default/configmaps"
    made = control.call("POST", maps, {"metadata": {"name": "big"}, "data": {f"k{i}": "v" for i in range(4000)}})
    for number in range(300):
        control.call("PATCH", f"{maps}/big", {"metadata": {"annotations": {"n": str(number)}}}, MERGE)
    before = peak_mb(control)
    made["data"]["x"] = "y"
    answer = control.call("PUT", f"{maps}/big", made, status=409)
    assert "metadata.annotations" in answer["message"], answer
    since = made["metadata"]["resourceVersion"]
    assert [item["op"] for item in control.get(f"/selvedge/v1/diff?from={since}")["items"]] == ["update"]
    assert peak_mb(control) - before < 40


# ---- kills ----

class Writers:
    """Threads that write until the process is gone. Each has objects of its own and counts up in an annotation: one object by
    PATCH, a pair in one bulk apply."""

    def __init__(self, control, base, limit):
        self.control, self.base, self.limit = control, base, limit
        self.lock = threading.Lock()
        self.acked = []  # (revision, name, number)
        self.newest = {}  # name -> number last acknowledged
        self.unexpected = []
        self.threads = [threading.Thread(target=self.run, args=(t,)) for t in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def run(self, t):
        connection = UnixConnection(self.control.socket)
        try:
            for i in range(self.limit // THREADS):
                number = self.base + i
                names = [f"one-{t}"] if i % 4 else [f"pair-{t}-a", f"pair-{t}-b"]
                revision = self.write(connection, names, number)
                with self.lock:
                    for name in names:
                        self.acked.append((revision, name, number))
                        self.newest[name] = number
        except (OSError, http.client.HTTPException, ValueError):
            return  # the process is gone: this write was not acknowledged
        except AssertionError as error:
            self.unexpected.append(str(error))

    def write(self, connection, names, number):
        if len(names) == 1:
            body = json.dumps({"metadata": {"annotations": {"n": str(number)}}})
            connection.request("PATCH", f"{SERVICES}/{names[0]}", body, {"content-type": MERGE})
        else:
            body = "".join(numbered(name, number) for name in names)
            connection.request("POST", "/selvedge/v1/apply", body, {"content-type": YAML})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{answer.status} {text[:300]}"
        told = json.loads(text)
        return int(told["revision"] if len(names) > 1 else told["metadata"]["resourceVersion"])

    def join(self):
        for thread in self.threads:
            thread.join()


def numbered(name, number):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default, annotations: {{n: "{number}"}}}}
spec:
  ports: [{{name: http, port: 80}}]
"""


def copy_database(control, folder):
    folder.mkdir()
    for path in control.data.glob("control.db*"):
        shutil.copy(path, folder / path.name)
    return sqlite3.connect(folder / "control.db")


def check_log(database):
    head, compacted = database.execute("SELECT head, compacted FROM meta").fetchone()
    assert database.execute("SELECT count(*), min(rev), max(rev) FROM revision").fetchone() == (head - compacted, compacted + 1, head)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not database.execute("SELECT r.rev FROM revision r WHERE num_changes <> (SELECT count(*) FROM change c WHERE c.rev = r.rev)").fetchall()
    return compacted


def check_acknowledged(control, writers, folder):
    """In the file as the kill left it, and through the API of the next process."""
    database = copy_database(control, folder)
    compacted = check_log(database)
    changes = set(database.execute("SELECT rev, name FROM change"))
    assert not [ack for ack in writers.acked if ack[0] > compacted and ack[:2] not in changes]
    database.close()
    shutil.rmtree(folder)
    started = time.monotonic()
    control.start()
    seconds = time.monotonic() - started
    numbers = {item["metadata"]["name"]: int(item["metadata"]["annotations"]["n"]) for item in control.get(SERVICES)["items"]}
    assert not {name: (number, numbers.get(name)) for name, number in writers.newest.items() if numbers.get(name, -1) < number}
    assert all(numbers[f"pair-{t}-a"] == numbers[f"pair-{t}-b"] for t in range(THREADS))
    return seconds


def new_file(tmp_path, stopping, turn):
    """A control process on a new database; the one before and its files go."""
    if stopping:
        old = stopping.pop()
        old.process.kill()
        shutil.rmtree(old.folder)
    folder = tmp_path / f"file{turn}"
    folder.mkdir()
    control = Control(folder)
    stopping.append(control)
    control.apply("".join(numbered(name, 0) for t in range(THREADS) for name in (f"one-{t}", f"pair-{t}-a", f"pair-{t}-b")))
    return control


def test_kills_during_writes_lose_nothing_acknowledged(tmp_path, stopping, record_property):
    total, slowest, control = 0, 0.0, None
    for turn in range(KILL_ROUNDS):
        if turn % KILL_ROUNDS_A_FILE == 0:
            control = new_file(tmp_path, stopping, turn)
        writers = Writers(control, 1 + turn * KILL_WRITES, KILL_WRITES)
        enough = random.randrange(1, KILL_WRITES * 3 // 4)
        wait_until("writes", lambda: len(writers.acked) >= enough or writers.unexpected, interval=0.001, timeout=120)
        control.process.kill()
        writers.join()
        assert not writers.unexpected
        total += len(writers.acked)
        slowest = max(slowest, check_acknowledged(control, writers, tmp_path / f"copy{turn}"))
    record_property("figures", f"{KILL_ROUNDS} kills, {total} acknowledged writes all there; slowest start {slowest * 1000:.0f} ms")


# ---- disks and files ----

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def start_and_fail(data):
    """What a control process that must not start says."""
    done = subprocess.run([BIN / "selvedge-gateway", "control", "--data", data, "--api", "off"], capture_output=True, text=True, timeout=30)
    assert done.returncode not in (0, -6, -11), done
    return done.stdout + done.stderr


def big_service(name, size=200_000):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": {"filling": "x" * size}},
            "spec": {"ports": [{"name": "http", "port": 80}]}}


def test_full_disk_refuses_writes_and_keeps_data(small_disk, stopping):
    control = Control(small_disk)
    stopping.append(control)
    acked = []
    for i in range(400):
        status, text = control.api("POST", SERVICES, big_service(f"s{i}"))
        if status != 201:
            break
        acked.append(f"s{i}")
    assert status in (503, 507) and "Status" in text and ("disk" in text or "full" in text), (status, text)
    names = [item["metadata"]["name"] for item in control.get(SERVICES)["items"]]
    assert set(names) == set(acked) and control.get("/selvedge/v1/revisions")["head"] > 0
    control.process.kill()
    remount(small_disk, "size=64m")
    control.start()
    assert set(acked) <= {item["metadata"]["name"] for item in control.get(SERVICES)["items"]}
    control.call("POST", SERVICES, big_service("after"))


def test_full_disk_that_is_emptied_takes_writes_again(small_disk, stopping):
    control = Control(small_disk)
    stopping.append(control)
    filler = small_disk / "filler"
    with open(filler, "wb") as file:
        try:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        except OSError:
            pass
    assert control.api("POST", SERVICES, big_service("full"))[0] in (503, 507)
    assert control.api("GET", "/readyz") == (503, "the disk is full")
    control.get(SERVICES)
    filler.unlink()
    wait_until("it to be ready, without a write", lambda: control.api("GET", "/readyz")[0] == 200)
    wait_until("writes", lambda: control.api("POST", SERVICES, big_service("free"))[0] in (201, 409))
    assert [item["metadata"]["name"] for item in control.get(SERVICES)["items"]] == ["free"]


def test_read_only_database_is_refused_by_name(small_disk):
    control = Control(small_disk)
    control.apply(service())
    control.stop()
    remount(small_disk, "ro")
    told = start_and_fail(control.data)
    assert "read-only" in told.lower() or "readonly" in told.lower(), told
    remount(small_disk, "rw")
    control.start()
    control.get(SERVICES + "/web")
    control.stop()


def test_corrupt_page_is_refused_and_left_alone(control):
    control.apply("".join(service(f"s{i}") for i in range(300)))
    control.process.stop()
    path = control.data / "control.db"
    healthy = path.read_bytes()
    size = int.from_bytes(healthy[16:18], "big")
    for page in range(2, 12):
        path.write_bytes(healthy[:page * size] + os.urandom(size) + healthy[(page + 1) * size:])
        before = path.read_bytes()
        told = start_and_fail(control.data)
        assert "control.db" in told and ("malformed" in told or "corrupt" in told or "damaged" in told or "check" in told), told
        assert path.read_bytes()[size:] == before[size:]  # the first page has SQLite's own counters
    path.write_bytes(healthy)
    control.start()
    assert len(control.get(SERVICES)["items"]) == 300


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"not a database" * 400])
def test_what_is_no_database_is_not_overwritten(control, content):
    control.process.stop()
    path = control.data / "control.db"
    path.write_bytes(content)
    start_and_fail(control.data)
    assert path.read_bytes() == content


def set_version(path, version):
    database = sqlite3.connect(path)
    old = database.execute("PRAGMA user_version").fetchone()[0]
    database.execute(f"PRAGMA user_version = {version}")
    database.commit()
    database.close()
    return old


def test_newer_database_is_refused(control):
    control.apply(service())
    control.process.stop()
    old = set_version(control.data / "control.db", 9999)
    told = start_and_fail(control.data)
    assert "newer" in told and "9999" in told, told
    set_version(control.data / "control.db", old)
    control.start()
    control.get(SERVICES + "/web")


def test_second_process_on_one_folder_is_refused(control):
    told = start_and_fail(control.data)
    assert "another" in told or "in use" in told or "lock" in told, told
    control.apply(service())
    control.get(SERVICES + "/web")


def http_status(port, host):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/", headers={"host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_start_that_fails_behind_the_first_compile_says_why(control):
    """The compile that opening the database asked for is due just then."""
    control.apply(GATEWAY + service() + route())
    control.stop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for _ in range(5):
            done = subprocess.run([BIN / "selvedge-gateway", "control", "--data", control.data, "--api", f"127.0.0.1:{taken.getsockname()[1]}"],
                                  capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and "Address already in use" in done.stdout + done.stderr, done


def test_proxy_serves_while_control_cannot_start(gateway, echo):
    port = free_port()
    gateway.apply(GATEWAY.replace("8080", str(port)) + route() + service(port=80) + f"""---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web, namespace: default, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: {echo.port}}}]
endpoints: [{{addresses: ["127.0.0.1"]}}]
""")
    wait_until("the route", lambda: http_status(port, "a.example") == 200)
    control = gateway.control_pid()
    old = set_version(gateway.data / "control.db", 9999)
    os.kill(control, 9)
    wait_until("the refusal", lambda: "9999" in gateway.process.output())
    for _ in range(20):
        assert http_status(port, "a.example") == 200
    set_version(gateway.data / "control.db", old)
    wait_until("the control API", gateway.api_ready, timeout=60)
    assert http_status(port, "a.example") == 200


# ---- namespaces that are written to while they go ----

def test_a_namespace_goes_under_constant_writes(control):
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: busy}\n"
    control.apply(namespace)
    is_over, unexpected = threading.Event(), []

    def create(t):
        for i in range(100_000):
            if is_over.is_set():
                return
            status, text = control.api("POST", "/api/v1/namespaces/busy/services", {"metadata": {"name": f"s{t}-{i}"}, "spec": {"ports": [{"port": 80}]}})
            if status not in (201, 404):
                unexpected.append((status, text))
            elsewhere = control.api("PATCH", f"{SERVICES}/web", {"metadata": {"annotations": {"n": f"{t}-{i}"}}}, MERGE)[0]
            if elsewhere != 200:
                unexpected.append((elsewhere, "PATCH"))
    control.apply(service())
    threads = [threading.Thread(target=create, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            wait_until("something in it", lambda: control.get("/api/v1/namespaces/busy/services")["items"])
            control.call("DELETE", "/api/v1/namespaces/busy")
            assert control.get("/api/v1/namespaces/busy/services")["items"] == []  # and nothing comes after it
            assert control.api("GET", "/api/v1/namespaces/busy")[0] == 404
            control.apply(namespace)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not unexpected
    control.call("DELETE", "/api/v1/namespaces/busy")
    database = copy_database(control, control.folder / "copy")
    assert database.execute("SELECT count(*) FROM object WHERE namespace = 'busy'").fetchone() == (0,)
    check_log(database)
    database.close()


# ---- hostile calls ----

def send_raw(control, data, want_answer=True):
    """(status, head, body) of bytes sent as they are; (0, …) when the connection just ended."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(control.socket))
        try:
            connection.sendall(data)
        except OSError:
            pass
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            return answer.status, dict(answer.getheaders()), answer.read()
        except (OSError, http.client.HTTPException):
            return 0, {}, b""


def post_raw(control, target, body, content_type="application/json"):
    head = f"POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return send_raw(control, head.encode() + body)[0]


DEEP_JSON = b'{"metadata":{"name":"x"},"spec":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
ALIASES = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(ord("a"), ord("j")))
HOSTILE_JSON = {
    "deep object": DEEP_JSON, "deep array": b"[" * 500_000, "closed deep array": b"[" * 100_000 + b"]" * 100_000,
    "invalid UTF-8": b'{"metadata":{"name":"\xff\xfe"}}', "overlong UTF-8": b'{"metadata":{"name":"\xc0\xaf"}}',
    "surrogate": b'{"metadata":{"name":"\\ud800"}}', "NUL": b'{"metadata":{"name":"a\\u0000b"}}', "raw NUL": b'{"metadata":{"name":"a\0b"}}',
    "duplicate": b'{"metadata":{"name":"a","name":"b"},"spec":{"ports":[{"port":80}]}}',
    "huge number": b'{"metadata":{"name":"a"},"spec":{"ports":[{"port":' + b"9" * 100_000 + b"}]}}",
    "exponent": b'{"metadata":{"name":"a"},"spec":{"ports":[{"port":1e999999}]}}', "negative": b'{"metadata":{"name":"a"},"spec":{"ports":[{"port":-1}]}}',
    "fraction": b'{"metadata":{"name":"a"},"spec":{"ports":[{"port":80.5}]}}', "NaN": b'{"metadata":{"name":"a"},"spec":{"ports":[{"port":NaN}]}}',
    "empty": b"", "null": b"null", "string": b'"x"', "number": b"1", "array": b"[]", "true": b"true", "BOM": b"\xef\xbb\xbf{}",
    "trailing": b'{"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}} x', "cut": b'{"metadata":{"name":"a"', "wrong types": b'{"metadata":[],"spec":"x"}',
    "name type": b'{"metadata":{"name":{}}}', "labels type": b'{"metadata":{"name":"a","labels":[1]},"spec":{"ports":[{"port":80}]}}',
    "SQL": b'{"metadata":{"name":"a\'; DROP TABLE object; --"},"spec":{"ports":[{"port":80}]}}', "path": b'{"metadata":{"name":"../../etc/passwd"}}',
    "other namespace": b'{"metadata":{"name":"a","namespace":"other"},"spec":{"ports":[{"port":80}]}}',
    "other kind": b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}', "long name": b'{"metadata":{"name":"' + b"a" * 100_000 + b'"}}',
}
HOSTILE_YAML = {"alias bomb": ALIASES, "self alias": b"a: &a [*a]\n", "deep": b"[" * 100_000, "deep map": b"".join(b" " * i + b"a:\n" for i in range(2000)),
                "tag": b"!!python/object/apply:os.system [id]\n", "many documents": b"---\n{}\n" * 50_000, "bad UTF-8": b"a: \xff\n",
                "duplicate": b"metadata: {name: a, name: b}\n", "merge": b"a: &a {x: 1}\nb: {<<: *a}\n", "anchors only": b"*nothing\n", "empty": b""}


def test_hostile_bodies_are_refused_in_bounded_memory(control, record_property):
    before = control.process.rss_kb()
    for target in (SERVICES, "/selvedge/v1/apply", "/selvedge/v1/tokens", "/selvedge/v1/rollback", "/selvedge/v1/explain", "/selvedge/v1/join"):
        for name, body in HOSTILE_JSON.items():
            status = post_raw(control, target, body)
            assert 400 <= status < 500 or (target.endswith("apply") and name in ("empty", "array", "other kind")), f"{target} {name}: {status}"
    for name, body in HOSTILE_YAML.items():
        for target in (SERVICES, "/selvedge/v1/apply"):
            status = post_raw(control, target, body, YAML)
            assert 400 <= status < 500 or (target.endswith("apply") and name in ("empty",)), f"{target} {name}: {status}"
    grown = control.process.rss_kb() - before
    assert grown < 64 * 1024
    assert control.get(SERVICES)["items"] == []
    record_property("figures", f"resident memory grew by {grown} kB")


def json_cases(verdict):
    """The cases of the unit test, one C literal a line."""
    literal = re.compile(r'"((?:[^"\\]|\\.)*)"')
    lines = (ROOT / "tests/unit/core/base/json_cases.def").read_text().splitlines()
    return [b"".join(codecs.escape_decode(text)[0] for text in literal.findall(line)) for line in lines if line.startswith(f"{verdict}(")]


def test_json_is_read_as_its_grammar_has_it_and_nothing_else(control, record_property):
    """Illegal documents are 400 wherever a body is read; legal ones are read, whatever is then said of what they hold."""
    legal, illegal = json_cases("LEGAL"), json_cases("ILLEGAL")
    assert len(legal) > 70 and len(illegal) > 190
    connection = UnixConnection(control.socket)

    def post(target, body, content_type):
        connection.request("PATCH" if content_type == MERGE else "POST", target, body, {"content-type": content_type})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    control.apply(service())
    before = control.process.rss_kb()
    for target, content_type in ((SERVICES, "application/json"), (SERVICES + "/web", MERGE), ("/selvedge/v1/rollback", "application/json"),
                                 ("/selvedge/v1/explain", "application/json"), ("/selvedge/v1/tokens", "application/json")):
        for body in illegal:
            status, answer = post(target, body, content_type)
            assert (status, answer["reason"]) == (400, "BadRequest") and answer["message"], f"{target} {body[:80]}: {status} {answer}"
        for body in legal:
            status, answer = post(target, body, content_type)
            assert 400 <= status < 500 or content_type == MERGE, f"{target} {body[:80]}: {status} {answer}"
            assert "line " not in answer.get("message", ""), f"{target} {body[:80]} was not read: {answer}"
    grown = control.process.rss_kb() - before
    assert grown < 32 * 1024
    record_property("figures", f"{5 * (len(legal) + len(illegal))} documents; resident memory grew by {grown} kB")


def test_oversized_bodies_are_413(control):
    before = control.process.rss_kb()
    assert post_raw(control, SERVICES, b"x" * (3 * 1024 * 1024 + 1)) == 413
    head = f"POST {SERVICES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
    assert send_raw(control, head + b"content-length: 99999999999\r\n\r\n")[0] == 413
    assert send_raw(control, head + b"content-length: 99999999999999999999999\r\n\r\n")[0] in (400, 413)
    chunks = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    assert send_raw(control, head + b"transfer-encoding: chunked\r\n\r\n" + chunks * 5)[0] == 413
    assert control.process.rss_kb() - before < 32 * 1024


PATCHES = {
    "application/json-patch+json": [
        b'[{"op":"add","path":"/spec/ports/99999999999999999999","value":1}]', b'[{"op":"move","from":"/spec","path":"/spec/ports/0"}]',
        b'[{"op":"remove","path":"/nothing"}]', b'[{"op":"x","path":""}]', b'{"op":"add"}', b'[{"op":"replace","path":"","value":1}]',
        b'[{"op":"test","path":"/metadata/name","value":"other"}]', b'[{"op":"copy","from":"/a~2","path":"/b"}]', b"[1]",
        b'[{"op":"replace","path":"/metadata/name","value":"other"}]', b'[{"op":"remove","path":"/metadata"}]',
        b"[" + b",".join([b'{"op":"add","path":"/metadata/annotations","value":{}},{"op":"copy","from":"/metadata","path":"/metadata/annotations/a"}'] * 40) + b"]"],
    MERGE: [b"1", b"[]", b'{"metadata":null}', b'{"metadata":{"name":"other"}}', b'{"spec":{"ports":null}}' + b" x", b'{"kind":"Secret"}',
            b'{"metadata":{"resourceVersion":"abc"}}', b'{"metadata":{"uid":"x"}}', b'{"spec":{"nonsense":1}}'],
    "application/strategic-merge-patch+json": [b'{"spec":{"ports":[{"$patch":"nonsense","port":80}]}}', b'{"$patch":1}', b"[]", b'{"spec":{"ports":[1]}}',
                                               b'{"spec":{"$nonsense":1}}'],
    "application/apply-patch+yaml": [b"[]", b"metadata: {name: other}", ALIASES],
    "text/plain": [b"{}"], "application/x-www-form-urlencoded": [b"a=b"],
}


def test_hostile_patches_are_refused(control):
    control.apply(service())
    for content_type, bodies in PATCHES.items():
        for body in bodies:
            status, text = control.api("PATCH", SERVICES + "/web?fieldManager=x", body, content_type)
            assert 400 <= status < 500, f"{content_type} {body[:80]}: {status} {text[:300]}"
    assert control.get(SERVICES + "/web")["spec"]["ports"][0]["port"] == 80


HOSTILE_TARGETS = [
    "/../etc/passwd", "/api/v1/namespaces/default/services/..", "/api/v1/namespaces/../services", "/api/v1/namespaces/default%2Fservices", "/api/v1/./namespaces",
    "/api/v1/namespaces/default/services/%2e%2e", "/api/v1/namespaces/default/services/a%2Fb", "/api/v1/namespaces/default/services/a%00b",
    "/api/v1/namespaces/default/services/a%", "/api/v1/namespaces/default/services/%zz", "/api/v1/namespaces/default/services/" + "a" * 6000,
    "/api/v1/namespaces/default/services/%ff%fe", "/api/v1/namespaces/x'%20OR%201=1/services/a", "/selvedge/v1/revisions/-1", "/selvedge/v1/revisions/99999999999999999999",
    "/selvedge/v1/revisions/1e3", "/selvedge/v1/diff?from=x", "/selvedge/v1/diff?from=1&to=99999999", "/selvedge/v1/nodes/..%2fadmin/stream",
    SERVICES + "?limit=-1", SERVICES + "?limit=99999999999999999999", SERVICES + "?limit=1&continue=%27%3B+DROP+TABLE+object", SERVICES + "?continue=AAAA", SERVICES + "?continue=" + "A" * 5000,
    SERVICES + "?labelSelector=%27%20OR%20%271%27%3D%271", SERVICES + "?labelSelector=a+in+(", SERVICES + "?labelSelector=" + "(" * 2000, SERVICES + "?labelSelector=a%00b",
    SERVICES + "?fieldSelector=spec.x%3D1", SERVICES + "?fieldSelector=metadata.name", SERVICES + "?resourceVersion=-1", SERVICES + "?watch=1&resourceVersion=x", SERVICES + "?watch=1&timeoutSeconds=-5",
    "/openapi/v3/apis/../../x", "/selvedge/v1/audit?limit=abc", "/selvedge/v1/revisions?before=abc",
]


@pytest.mark.parametrize("target", HOSTILE_TARGETS, ids=range(len(HOSTILE_TARGETS)))
def test_hostile_targets_are_refused(shared_control, target):
    status = send_raw(shared_control, f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())[0]
    assert 400 <= status < 500, f"{target}: {status}"


@pytest.fixture(scope="module")
def shared_control(tmp_path_factory):
    server = Control(tmp_path_factory.mktemp("shared"))
    yield server
    server.stop()


# ---- access ----

def test_wrong_tokens_lock_out_and_say_for_how_long(control):
    context = ssl.create_default_context(cafile=str(control.data / "ca.crt"))

    def attempt():
        connection = http.client.HTTPSConnection("127.0.0.1", control.port, context=context, timeout=20)
        connection.request("GET", SERVICES, headers={"authorization": "Bearer sv_wrong"})
        answer = connection.getresponse()
        connection.close()
        return answer.status, answer.getheader("retry-after")
    answers = [attempt() for _ in range(40)]
    statuses = [status for status, _ in answers]
    assert statuses[:11] == [401] * 11 and set(statuses) == {401, 429}
    assert all(int(retry_after) >= 1 for status, retry_after in answers if status == 429)


def test_planted_secret_is_in_no_log_metric_or_audit(control):
    planted = "cGxhbnRlZC1zZWNyZXQ="
    control.call("POST", SECRETS, {"metadata": {"name": "s"}, "data": {"password": planted}})
    control.api("PATCH", SECRETS + "/s", {"data": {"password": planted, "bad": "%%%"}}, MERGE)
    control.api("POST", SECRETS, {"metadata": {"name": "S!"}, "stringData": {"password": "planted-secret"}})
    for target in ("/selvedge/v1/audit", "/metrics", "/selvedge/v1/revisions"):
        text = control.api("GET", target)[1]
        assert planted not in text and "planted-secret" not in text
    log = control.process.output()
    assert planted not in log and "planted-secret" not in log and control.token not in log


@pytest.mark.parametrize("options, why", [
    (("--api", "nonsense"), "--api: 'nonsense' is not of the form"), (("--api", "127.0.0.1:99999"), "--api: "), (("--api", "unix:/tmp/x"), "control.sock"),
    (("--admin", "here"), "--admin: 'here' is not of the form"), (("--workers", "many"), "--workers: "), (("--nope",), "unknown option")])
def test_a_command_line_that_is_wrong_ends_at_once(tmp_path, options, why):
    """And the supervisor does not start a child again and again that cannot live."""
    done = subprocess.run([BIN / "selvedge-gateway", "--data", tmp_path / "data", *options], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and why in done.stderr, done.stderr
    assert not (tmp_path / "data").exists()


def test_slow_watcher_costs_little_and_can_resume(control, record_property):
    control.apply(service())
    before = control.process.rss_kb()
    slow = UnixConnection(control.socket)
    slow.request("GET", f"{SERVICES}?watch=true&resourceVersion={control.get(SERVICES)['metadata']['resourceVersion']}")
    answer = slow.getresponse()
    for i in range(400):
        control.call("PATCH", SERVICES + "/web", {"metadata": {"annotations": {"filling": "x" * 200_000, "n": str(i)}}}, MERGE)
    grown = control.process.rss_kb() - before
    assert grown < 160 * 1024
    last, event = None, {"type": "end"}
    for line in iter(answer.readline, b""):  # what it had room for, then the end or 410
        event = json.loads(line)
        if event["type"] == "ERROR" or event["object"]["metadata"].get("annotations", {}).get("n") == "399":
            break
        last = event["object"]["metadata"]["resourceVersion"]
    slow.close()
    assert event["type"] != "ERROR" or event["object"]["code"] == 410
    resumed = UnixConnection(control.socket)
    resumed.request("GET", f"{SERVICES}?watch=true&timeoutSeconds=30&resourceVersion={last or 0}")
    events = map(json.loads, iter(resumed.getresponse().readline, b""))
    found = next(e for e in events if e["type"] == "ERROR" or e["object"]["metadata"].get("annotations", {}).get("n") == "399")
    resumed.close()
    if found["type"] == "ERROR":  # more than it is willing to read back: list again, and go on from there
        assert found["object"]["code"] == 410
        listed = control.get(SERVICES)
        assert [item["metadata"]["annotations"]["n"] for item in listed["items"] if item["metadata"]["name"] == "web"] == ["399"]
    record_property("figures", f"80 MB of events unread: {grown // 1024} MiB more resident memory; then {event['type']}")
