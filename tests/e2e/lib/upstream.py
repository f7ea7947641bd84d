"""Upstreams: one that tells what it got (Echo), one that sends what a test says and records every byte (Raw)."""
import hashlib
import http.server
import json
import socket
import socketserver
import threading
import time
import urllib.parse


class EchoHandler(http.server.BaseHTTPRequestHandler):
    """Answers JSON {method, path, headers, body_len, body_sha256, name, conn}. By path:
    /status/N, /bytes/N (N bytes), /delay/MS, /sse/N (N events), /chunked/N, /slow/N (N bytes at 64 KiB/s)."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def body(self):
        digest, total = hashlib.sha256(), 0

        def take(count):
            nonlocal total
            while count > 0:
                piece = self.rfile.read(min(count, 65536))
                if not piece:
                    return
                digest.update(piece)
                total += len(piece)
                count -= len(piece)

        if "chunked" in self.headers.get("transfer-encoding", ""):
            while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                take(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            take(int(self.headers.get("content-length", 0)))
        return total, digest.hexdigest()

    def reply(self, status, body, content_type="application/json", head=()):
        self.send_response(status)
        for name, value in head:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def handle_any(self):
        self.server.count(self)
        total, digest = self.body()
        path = urllib.parse.urlsplit(self.path).path.split("/")
        verb, arg = (path[1], int(path[2])) if len(path) > 2 and path[2].isdigit() else ("", 0)
        if verb == "status":
            return self.reply(arg, b"{}")
        if verb == "bytes":
            return self.stream(arg, chunked=False)
        if verb == "chunked":
            return self.stream(arg, chunked=True)
        if verb == "sse":
            return self.events(arg)
        if verb == "delay":
            time.sleep(arg / 1000)
        told = {"method": self.command, "path": self.path, "headers": [[k.lower(), v] for k, v in self.headers.items()],
                "body_len": total, "body_sha256": digest, "name": self.server.name, "conn": self.client_address[1]}
        return self.reply(200, json.dumps(told).encode())

    def stream(self, count, chunked):
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream")
        self.send_header(*(("transfer-encoding", "chunked") if chunked else ("content-length", str(count))))
        self.end_headers()
        block = bytes(range(256)) * 256
        while count > 0 and self.command != "HEAD":
            piece = block[:min(count, len(block))]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            count -= len(piece)
        if chunked and self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    def events(self, count):
        """One event, then the next only after the test released it: so a test proves that nothing is buffered."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(count):
            event = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            if not self.server.gate.acquire(timeout=30):
                return
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = handle_any


class EchoServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True
    tls = None

    def finish_request(self, request, client_address):
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:  # a client that does not like the certificate
                return
        super().finish_request(request, client_address)


class Echo:
    """`name` comes back in answers. `requests` counts; `gate` releases SSE events. `tls`: an SSLContext; the names asked
    for are in `server_names`."""

    def __init__(self, name="echo", port=0, tls=None):
        self.server = EchoServer(("127.0.0.1", port), EchoHandler)
        self.server.tls = tls
        self.server_names = []
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
        self.server.name = name
        self.server.gate = self.gate = threading.Semaphore(0)
        self.requests = 0
        self.lock = threading.Lock()
        self.server.count = self.count
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def count(self, _handler):
        with self.lock:
            self.requests += 1

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Raw:
    """Accepts, records all bytes per connection in `received`, and lets `script(sock, record)` answer as it likes. The
    default script answers every complete head with 200 and an id, so that framing mistakes show as wrong ids."""

    def __init__(self, script=None):
        self.script = script or Raw.answer_heads
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.received = []
        self.is_stopped = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.is_stopped:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            record = bytearray()
            self.received.append(record)
            threading.Thread(target=self.serve, args=(sock, record), daemon=True).start()

    def serve(self, sock, record):
        try:
            with sock:
                sock.settimeout(30)
                self.script(sock, record)
        except OSError:
            pass

    @staticmethod
    def read_head(sock, record, start=0):
        """Reads until the blank line after `start`; the offset behind it, or None at the end."""
        while (at := record.find(b"\r\n\r\n", start)) < 0:
            piece = sock.recv(65536)
            if not piece:
                return None
            record += piece
        return at + 4

    @staticmethod
    def answer_heads(sock, record):
        start = 0
        while (end := Raw.read_head(sock, record, start)) is not None:
            head = bytes(record[start:end])
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            while len(record) < end + length:
                piece = sock.recv(65536)
                if not piece:
                    return
                record += piece
            start = end + length
            body = head.split(b" ")[1] if b" " in head else b"?"
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    def all_bytes(self):
        return b"".join(bytes(record) for record in self.received)

    def stop(self):
        self.is_stopped = True
        self.listener.close()
