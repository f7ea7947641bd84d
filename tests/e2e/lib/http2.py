"""HTTP/2 frame by frame: a client that may say anything, and remembers what it was told."""
import select
import socket
import ssl
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 3, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(**values):
    names = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "list": 6}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", names[key], value) for key, value in values.items()))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, by):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by))


def literal(name, value):
    """A field that enters no table and is checked by no encoder."""
    def text(data):
        size = len(data)
        if size < 127:
            return bytes([size]) + data
        size, out = size - 127, b"\x7f"
        while size >= 128:
            out, size = out + bytes([size % 128 + 128]), size // 128
        return out + bytes([size]) + data
    return b"\0" + text(name) + text(value)


def block(*fields):
    return b"".join(literal(name, value) for name, value in fields)


def pseudo(path=b"/", method=b"GET", scheme=b"http", authority=b"a.test"):
    return [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]


def request(stream, fields, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*fields))


class Http2:
    def __init__(self, port, first=None, reads=True, tls=None, name=None, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)
            assert self.sock.selected_alpn_protocol() == "h2"
        self.sock.setblocking(False)
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.reads, self.buffer, self.is_closed = reads, b"", False
        self.frames = []          # (kind, flags, stream), in order
        self.heads, self.bodies, self.ended, self.resets = {}, {}, set(), {}
        self.goaway = None        # (last stream, code)
        self.pongs, self.num_acks = [], 0
        self.settings = {}        # the server's, by number
        self.send(PREFACE + (first if first is not None else settings()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """All of it, reading meanwhile unless told not to; False when the other end would have no more."""
        data = memoryview(data)
        until = time.monotonic() + 30
        while data and not self.is_closed and self.goaway is None:
            wanted = [self.sock] if self.reads else []
            readable, writable, _ = select.select(wanted, [self.sock], [], 1)
            assert time.monotonic() < until, "nobody takes what is sent"
            if readable:
                self.read()
            if writable and not self.is_closed:
                try:
                    data = data[self.sock.send(data[:65536]):]
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
                except OSError:
                    self.read()  # what was said before the end
                    self.is_closed = True
        return not data

    def read(self):
        while not self.is_closed:
            try:
                piece = self.sock.recv(262144)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError:
                piece = b""
            self.is_closed = not piece
            self.buffer += piece
            self.parse()

    def parse(self):
        at = 0
        while len(self.buffer) - at >= 9:
            size = int.from_bytes(self.buffer[at:at + 3], "big")
            if len(self.buffer) - at < 9 + size:
                break
            kind, flags = self.buffer[at + 3], self.buffer[at + 4]
            stream = int.from_bytes(self.buffer[at + 5:at + 9], "big")
            self.on_frame(kind, flags, stream, self.buffer[at + 9:at + 9 + size])
            at += 9 + size
        self.buffer = self.buffer[at:]

    def on_frame(self, kind, flags, stream, payload):
        self.frames.append((kind, flags, stream))
        if kind == HEADERS:
            assert flags & END_HEADERS and not flags & (PADDED | PRIORITIZED)
            fields = self.decoder.decode(payload, raw=True)
            self.heads.setdefault(stream, dict(fields))
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaway = (int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big"))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == SETTINGS and flags & ACK:
            self.num_acks += 1
        elif kind == SETTINGS:
            self.settings.update(struct.unpack_from(">HI", payload, at) for at in range(0, len(payload), 6))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)

    def until(self, check, what="an answer", timeout=30):
        until = time.monotonic() + timeout
        while not check():
            assert not self.is_closed, f"closed before {what}: {self.goaway}"
            assert time.monotonic() < until, f"waited for {what}: {self.frames[-5:]} {self.goaway}"
            select.select([self.sock], [], [], 0.2)
            self.read()

    def until_closed(self, timeout=30):
        until = time.monotonic() + timeout
        while not self.is_closed:
            assert time.monotonic() < until, f"still open: {self.frames[-5:]} {self.goaway}"
            select.select([self.sock], [], [], 0.2)
            self.read()

    def is_alive(self):
        """Whether a PING is answered."""
        token = b"alive%03d" % len(self.pongs)
        self.send(frame(PING, 0, 0, token))
        try:
            self.until(lambda: token in self.pongs or self.goaway is not None, "PING")
        except AssertionError:
            if not self.is_closed:
                raise
        return token in self.pongs

    def status(self, stream):
        head = self.heads.get(stream)
        return int(head[b":status"]) if head else None

    def get(self, stream, path=b"/", **more):
        """One whole exchange: (status, body); status None for a reset."""
        self.send(request(stream, pseudo(path, **more)))
        self.until(lambda: stream in self.ended or stream in self.resets)
        return self.status(stream), self.bodies.get(stream, b"")
