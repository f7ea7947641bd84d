"""Bytes as an attacker and as a strict server see them: raw connections, and the one reading of HTTP/1.1 that every
message sent upstream must have (RFC 9112, nothing tolerated)."""
import re
import socket
import ssl
import threading

from .upstream import Raw

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.1")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})")


class Message:
    def __init__(self, method, target, headers):
        self.method, self.target, self.headers, self.body, self.end = method, target, headers, b"", 0

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} {len(values)} times"
        return values[0] if values else None


def parse_fields(lines):
    fields = []
    for line in lines:
        match = FIELD.fullmatch(line)
        assert match, f"field line {line!r}"
        fields.append((match[1].lower().decode(), (match[2] or b"").decode("latin1")))
    return fields


def parse_chunked(data, at):
    """(body, end), or None while more is to come."""
    body = b""
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            assert len(data) - at < 20, f"chunk line {data[at:at + 40]!r}"
            return None
        match = CHUNK.fullmatch(data[at:line_end])
        assert match, f"chunk line {data[at:line_end]!r}"
        size, at = int(match[1], 16), line_end + 2
        if size == 0:
            break
        if len(data) < at + size + 2:
            return None
        assert data[at + size:at + size + 2] == b"\r\n", "no CRLF behind a chunk"
        body += data[at:at + size]
        at += size + 2
    if data[at:at + 2] == b"\r\n":
        return body, at + 2
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return None
    parse_fields(data[at:end].split(b"\r\n"))
    return body, end + 4


def parse_request(data, at=0):
    """The request that begins at `at`, or None while it is not whole. Anything a second reader could read in another way
    is an AssertionError."""
    end = data.find(b"\r\n\r\n", at)
    head = data[at:end if end >= 0 else len(data)]
    assert not re.search(rb"(?<!\r)\n|\r(?!\n|$)|\0", head), f"line ends in {head!r}"
    if end < 0:
        return None
    lines = head.split(b"\r\n")
    match = REQUEST_LINE.fullmatch(lines[0])
    assert match, f"request line {lines[0]!r}"
    message = Message(match[1].decode(), match[2].decode(), parse_fields(lines[1:]))
    assert len(message.all("host")) == 1, f"Host: {message.all('host')}"
    lengths, codings = message.all("content-length"), message.all("transfer-encoding")
    assert len(lengths) + len(codings) <= 1, f"framing {lengths} {codings}"
    message.end = end + 4
    if lengths:
        assert re.fullmatch("[0-9]{1,18}", lengths[0]), lengths
        message.end += int(lengths[0])
        message.body = bytes(data[end + 4:message.end])
        return message if len(data) >= message.end else None
    if codings:
        assert codings == ["chunked"], codings
        found = parse_chunked(data, end + 4)
        if found is None:
            return None
        message.body, message.end = found
    return message


class Strict(Raw):
    """An upstream that reads as strictly as parse_request() and answers each request with its target. `faults`: bytes
    that were no request."""

    def __init__(self):
        self.faults, self.whole = [], []
        super().__init__(self.answer_strictly)

    def answer_strictly(self, sock, record):
        try:
            while (message := parse_request(bytes(record))) is not None or self.read_on(sock, record):
                if message is None:
                    continue
                del record[:message.end]
                self.whole.append(message)
                body = b"" if message.method == "HEAD" else message.target.encode()
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nx-id: %s\r\n\r\n%s"
                             % (len(message.target), message.target.encode(), body))
        except AssertionError as fault:
            self.faults.append(str(fault))

    @staticmethod
    def read_on(sock, record):
        piece = sock.recv(65536)
        record += piece
        return bool(piece)

    def requests(self):
        """All whole requests so far, in order of their arrival; raises when any byte sent upstream did not parse."""
        assert not self.faults, self.faults
        return list(self.whole)

    def targets(self):
        return [message.target for message in self.requests()]


class Answer:
    def __init__(self, status, headers, body, is_whole):
        self.status, self.headers, self.body, self.is_whole = status, headers, body, is_whole

    def get(self, name):
        return dict(self.headers).get(name)


class Client:
    """A connection that sends any bytes and reads answers one by one, strictly."""

    def __init__(self, port, address="127.0.0.1", timeout=30, tls=None, name=None):
        self.sock = socket.create_connection((address, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)
        self.rest = b""
        self.is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass  # refused in the middle: the answer tells

    def more(self):
        if self.is_closed:
            return False
        try:
            piece = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            piece = b""
        self.rest += piece
        self.is_closed = not piece
        return bool(piece)

    def until(self, text):
        while text not in self.rest:
            if not self.more():
                return False
        return True

    def take(self, count):
        while len(self.rest) < count and self.more():
            pass
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def answer(self, method="GET"):
        """The next final answer, or None when the connection ended before one."""
        while True:
            if not self.until(b"\r\n\r\n"):
                return None
            head, self.rest = self.rest.split(b"\r\n\r\n", 1)
            lines = head.split(b"\r\n")
            match = re.fullmatch(rb"HTTP/1\.1 ([0-9]{3}) [\t\x20-\x7e]*", lines[0])
            assert match, f"status line {lines[0]!r}"
            status, headers = int(match[1]), parse_fields(lines[1:])
            if status >= 200 or status == 101:
                break
        return self.read_body(method, status, headers)

    def read_body(self, method, status, headers):
        fields = dict(headers)
        if method == "HEAD" or status in (101, 204, 304):
            return Answer(status, headers, b"", True)
        if "content-length" in fields:
            length = int(fields["content-length"])
            body = self.take(length)
            return Answer(status, headers, body, len(body) == length)
        if "transfer-encoding" in fields:
            while (found := parse_chunked(self.rest, 0)) is None:
                if not self.more():
                    return Answer(status, headers, self.rest, False)
            self.rest = self.rest[found[1]:]
            return Answer(status, headers, found[0], True)
        while self.more():
            pass
        body, self.rest = self.rest, b""
        return Answer(status, headers, body, True)

    def is_ended(self):
        """Reads on until the other end closes; False when it said something instead."""
        return not self.rest and not self.more()


def ask(port, data, method="GET", **options):
    """One request on a connection of its own."""
    with Client(port, **options) as client:
        client.send(data)
        return client.answer(method)


def get(port, target, headers=b"", host=b"a.test", **options):
    return ask(port, b"GET %s HTTP/1.1\r\nhost: %s\r\n%s\r\n" % (target.encode(), host, headers), **options)


class GoodClient:
    """Somebody innocent who asks all the while, on a connection of his own."""

    def __init__(self, port, target="/good"):
        self.port, self.target = port, target
        self.num, self.faults, self.slowest, self.times = 0, [], 0.0, []
        self.is_stopped = threading.Event()
        self.has_asked = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.has_asked.wait(30)
        return self

    def __exit__(self, *_):
        self.is_stopped.set()
        self.thread.join(60)

    def run(self):
        import time
        request = b"GET %s HTTP/1.1\r\nhost: good.test\r\n\r\n" % self.target.encode()
        with Client(self.port) as client:
            while not self.is_stopped.is_set():
                started = time.monotonic()
                client.send(request)
                answer = client.answer()
                self.times.append(time.monotonic() - started)
                self.slowest = max(self.slowest, self.times[-1])
                if answer is None or answer.status != 200:
                    self.faults.append(answer.status if answer else "closed")
                    break
                self.num += 1
                self.has_asked.set()
                self.is_stopped.wait(0.002)
        self.has_asked.set()
