"""HTTP/1 framing: two readers of one stream must never disagree where a message ends.

Every case sends bytes that some server somewhere reads in two ways. What counts is not the status alone: whatever
reached the upstream must parse strictly, nothing hidden in a payload may become a request of its own, and requests sent
afterwards must get their own answers."""
import re
import threading

import pytest

from lib.upstream import Raw
from lib.wire import Client, ask, get

HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: a.test\r\n\r\n"


def post(*lines, body=b"", target=b"/case", version=b"1.1", method=b"POST"):
    return (b"%s %s HTTP/%s\r\nhost: a.test\r\n" % (method, target, version) + b"".join(line + b"\r\n" for line in lines)
            + b"\r\n" + body)


def chunked(body, *lines, **more):
    return post(b"transfer-encoding: chunked", *lines, body=body, **more)


CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
TE = b"transfer-encoding: chunked"

REFUSED = {
    # one message, two framings
    "cl_te": (400, post(b"content-length: 6", TE, body=b"0\r\n\r\n" + HIDDEN)),
    "te_cl": (400, post(TE, b"content-length: 4", body=b"29\r\n" + HIDDEN + b"\r\n0\r\n\r\n")),
    "te_cl_zero": (400, post(TE, b"content-length: 0", body=CHUNKS)),
    "two_lengths_equal": (400, post(b"content-length: 3", b"content-length: 3", body=b"abc")),
    "two_lengths": (400, post(b"content-length: 3", b"content-length: 40", body=b"abc" + HIDDEN)),
    "length_list": (400, post(b"content-length: 3, 3", body=b"abc")),
    "length_plus": (400, post(b"content-length: +3", body=b"abc")),
    "length_minus": (400, post(b"content-length: -3", body=b"abc")),
    "length_minus_zero": (400, post(b"content-length: -0", body=HIDDEN)),
    "length_hex": (400, post(b"content-length: 0x3", body=b"abc")),
    "length_underscore": (400, post(b"content-length: 1_0", body=b"0123456789")),
    "length_empty": (400, post(b"content-length:", body=HIDDEN)),
    "length_blank": (400, post(b"content-length:   ", body=HIDDEN)),
    "length_space_inside": (400, post(b"content-length: 3 3", body=b"abc")),
    "length_fraction": (400, post(b"content-length: 3.0", body=b"abc")),
    "length_exponent": (400, post(b"content-length: 3e0", body=b"abc")),
    "length_semicolon": (400, post(b"content-length: 3;", body=b"abc")),
    "length_quoted": (400, post(b'content-length: "3"', body=b"abc")),
    "length_utf8_digits": (400, post("content-length: ٣".encode(), body=b"abc")),
    "length_name_space": (400, post(b"content-length : 3", body=b"abc")),
    "length_name_tab": (400, post(b"content-length\t: 3", body=b"abc")),
    "length_2_64_and_5": (400, post(b"content-length: 18446744073709551621", body=b"abcde" + HIDDEN)),
    "length_2_63": (400, post(b"content-length: 9223372036854775808", body=b"abc")),
    "length_100_digits": (400, post(b"content-length: " + b"9" * 100, body=b"abc")),
    "length_200_zeros": (400, post(b"content-length: " + b"0" * 200 + b"3", body=b"abc")),
    "te_empty": (400, post(b"transfer-encoding:", body=CHUNKS)),
    "te_identity": (400, post(b"transfer-encoding: identity", body=HIDDEN)),
    "te_twice": (400, post(TE, TE, body=CHUNKS)),
    "te_twice_identity": (400, post(TE, b"transfer-encoding: identity", body=CHUNKS)),
    "te_list_twice": (501, post(b"transfer-encoding: chunked, chunked", body=CHUNKS)),
    "te_list_identity_last": (400, post(b"transfer-encoding: chunked, identity", body=CHUNKS)),
    "te_gzip": (400, post(b"transfer-encoding: gzip", body=CHUNKS)),
    "te_gzip_chunked": (501, post(b"transfer-encoding: gzip, chunked", body=CHUNKS)),
    "te_xchunked": (400, post(b"transfer-encoding: xchunked", body=CHUNKS)),
    "te_chunkedx": (400, post(b"transfer-encoding: chunkedx", body=CHUNKS)),
    "te_parameter": (400, post(b"transfer-encoding: chunked;q=1", body=CHUNKS)),
    "te_quoted": (400, post(b'transfer-encoding: "chunked"', body=CHUNKS)),
    "te_comma": (400, post(b"transfer-encoding: chunked,", body=CHUNKS)),
    "te_comma_first": (400, post(b"transfer-encoding: ,chunked", body=CHUNKS)),
    "te_vertical_tab": (400, post(b"transfer-encoding: \x0bchunked", body=CHUNKS)),
    "te_nul": (400, post(b"transfer-encoding: chunked\0", body=CHUNKS)),
    "te_del": (400, post(b"transfer-encoding: chunked\x7f", body=CHUNKS)),
    "te_nbsp": (400, post(b"transfer-encoding:\xa0chunked", body=CHUNKS)),
    "te_name_space": (400, post(b"transfer-encoding : chunked", body=CHUNKS)),
    "te_folded": (400, post(b"x: y", b" transfer-encoding: chunked", body=CHUNKS)),
    "te_folded_value": (400, post(b"transfer-encoding:", b" chunked", body=CHUNKS)),
    "te_http10": (400, post(TE, version=b"1.0", body=CHUNKS)),
    "te_bare_cr_name": (400, post(b"x: y\rtransfer-encoding: chunked", body=CHUNKS)),
    "te_bare_lf_name": (400, post(b"x: y\ntransfer-encoding: chunked", body=CHUNKS)),
    # line ends and names
    "bare_lf_all": (400, b"GET /case HTTP/1.1\nhost: a.test\n\n" + HIDDEN),
    "bare_lf_request_line": (400, b"GET /case HTTP/1.1\nhost: a.test\r\n\r\n"),
    "bare_lf_field": (400, post(b"x: y\nz: w")),
    "bare_lf_end": (400, b"GET /case HTTP/1.1\r\nhost: a.test\r\n\n" + HIDDEN),
    "bare_cr_request_line": (400, b"GET /case HTTP/1.1\rhost: a.test\r\n\r\n"),
    "bare_cr_field": (400, post(b"x: y\rz: w")),
    "bare_cr_field_end": (400, post(b"x: y\r")),
    "cr_before_name": (400, post(b"\rx: y")),
    "nul_in_value": (400, post(b"x: a\0b")),
    "nul_in_name": (400, post(b"x\0y: a")),
    "nul_in_target": (400, b"GET /ca\0se HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "control_in_value": (400, post(b"x: a\x01b")),
    "folded": (400, post(b"x: a", b" b")),
    "folded_tab": (400, post(b"x: a", b"\tb")),
    "folded_first": (400, b"GET /case HTTP/1.1\r\n host: a.test\r\nhost: b.test\r\n\r\n"),
    "folded_empty": (400, b"GET /case HTTP/1.1\r\nhost: a.test\r\n \r\n\r\n" + HIDDEN),
    "space_before_colon": (400, post(b"x : y")),
    "name_empty": (400, post(b": y")),
    "name_empty_hides_length": (400, post(b":", b"content-length: 3", body=b"abc")),
    "no_colon": (400, post(b"nothing")),
    "name_with_paren": (400, post(b"x(y): z")),
    "name_utf8": (400, post("grün: z".encode())),
    # request lines
    "two_spaces": (400, b"GET  /case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "tab_for_space": (400, b"GET\t/case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "space_at_end": (400, b"GET /case HTTP/1.1 \r\nhost: a.test\r\n\r\n"),
    "space_in_target": (400, b"GET /ca se HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "leading_space": (400, b" GET /case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "three_empty_lines": (400, b"\r\n\r\n\r\nGET /case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "http09": (400, b"GET /case\r\n\r\n"),
    "http12": (505, b"GET /case HTTP/1.2\r\nhost: a.test\r\n\r\n"),
    "http20": (505, b"GET /case HTTP/2.0\r\nhost: a.test\r\n\r\n"),
    "http_lower": (400, b"GET /case http/1.1\r\nhost: a.test\r\n\r\n"),
    "http_11_padded": (400, b"GET /case HTTP/1.01\r\nhost: a.test\r\n\r\n"),
    "method_quoted": (400, b"\"GET\" /case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "method_with_colon": (400, b"GET: /case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "trace": (405, b"TRACE /case HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    "connect": (405, b"CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\n" + HIDDEN),
    "connect_with_body": (400, b"CONNECT a.test:80 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
    "tls_hello": (400, bytes.fromhex("16030100a5010000a10303") + b"x" * 100),
    "socks": (400, b"\x05\x01\x00"),
    # chunked bodies: the head may be upstream by then, a whole request never
    "chunk_size_17_digits": (400, chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_16_digits_overflow": (400, chunked(b"8000000000000000\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_ffff": (400, chunked(b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_zeros": (400, chunked(b"0" * 40 + b"3\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_0x": (400, chunked(b"0x3\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_plus": (400, chunked(b"+3\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_minus": (400, chunked(b"-3\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_underscore": (400, chunked(b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n")),
    "chunk_size_empty": (400, chunked(b"\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_only_extension": (400, chunked(b";x\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_space_before": (400, chunked(b" 3\r\nabc\r\n0\r\n\r\n")),
    "chunk_size_space_behind": (400, chunked(b"3 \r\nabc\r\n0\r\n\r\n")),
    "chunk_size_letters": (400, chunked(b"xyz\r\nabc\r\n0\r\n\r\n")),
    "chunk_bare_lf": (400, chunked(b"3\nabc\r\n0\r\n\r\n")),
    "chunk_bare_cr": (400, chunked(b"3\rabc\r\n0\r\n\r\n")),
    "chunk_data_lf": (400, chunked(b"3\r\nabc\n0\r\n\r\n")),
    "chunk_data_longer": (400, chunked(b"3\r\nabcd\r\n0\r\n\r\n")),
    "chunk_data_no_crlf": (400, chunked(b"3\r\nabc0\r\n\r\n")),
    "chunk_extension_lf": (400, chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n")),
    "chunk_extension_cr": (400, chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n")),
    "chunk_extension_nul": (400, chunked(b"3;a\0b\r\nabc\r\n0\r\n\r\n")),
    "chunk_extension_long": (400, chunked(b"3;" + b"a" * 5000 + b"\r\nabc\r\n0\r\n\r\n")),
    "chunk_extensions_many": (400, chunked(b"".join(b"1;" + b"a" * 250 + b"\r\nx\r\n" for _ in range(100)) + b"0\r\n\r\n")),
    "chunk_last_lf": (400, chunked(b"3\r\nabc\r\n0\n\n")),
    "trailer_lf": (400, chunked(b"3\r\nabc\r\n0\r\nx: y\n\r\n")),
    "trailer_folded": (400, chunked(b"3\r\nabc\r\n0\r\nx: y\r\n z\r\n\r\n")),
    "trailer_name_empty": (400, chunked(b"3\r\nabc\r\n0\r\n: y\r\n\r\n")),
    "trailer_no_colon": (400, chunked(b"3\r\nabc\r\n0\r\nGET /hidden HTTP/1.1\r\n\r\n")),
    "trailer_long": (431, chunked(b"3\r\nabc\r\n0\r\nx: " + b"y" * 20000 + b"\r\n\r\n")),
    "trailer_many": (431, chunked(b"3\r\nabc\r\n0\r\n" + b"x: y\r\n" * 300 + b"\r\n")),
}

# What is strange but clear: taken as one request, and written anew for the upstream. (payload, method, its body)
TAKEN = {
    "te_case": (post(b"Transfer-Encoding: Chunked", body=CHUNKS), b"abc"),
    "te_space_around": (post(b"transfer-encoding: \t chunked \t", body=CHUNKS), b"abc"),
    "te_underscore_is_dropped": (post(b"transfer_encoding: chunked", b"content-length: 3", body=b"abc"), b"abc"),
    "te_in_other_field": (post(b"x: transfer-encoding: chunked", b"content-length: 3", body=b"abc"), b"abc"),
    "length_zeros": (post(b"content-length: 0003", body=b"abc"), b"abc"),
    "length_underscore_name": (post(b"content_length: 400", b"content-length: 3", body=b"abc"), b"abc"),
    "length_zero": (post(b"content-length: 0"), b""),
    "connection_names_length": (post(b"connection: content-length", b"content-length: 3", body=b"abc"), b"abc"),
    "connection_names_coding": (post(b"connection: transfer-encoding", TE, body=CHUNKS), b"abc"),
    "connection_names_host": (post(b"connection: host", b"content-length: 3", body=b"abc"), b"abc"),
    "body_hides_request": (post(b"content-length: %d" % len(HIDDEN), body=HIDDEN), HIDDEN),
    "get_with_body": (post(b"content-length: %d" % len(HIDDEN), body=HIDDEN, method=b"GET"), HIDDEN),
    "options_with_chunks": (chunked(b"28\r\n" + HIDDEN.ljust(40, b"\n") + b"\r\n0\r\n\r\n", method=b"OPTIONS"), HIDDEN.ljust(40, b"\n")),
    "delete_with_chunks": (chunked(CHUNKS, method=b"DELETE"), b"abc"),
    "chunk_hides_request": (chunked(b"28\r\n" + HIDDEN.ljust(40, b"\n") + b"\r\n0\r\n\r\n"), HIDDEN.ljust(40, b"\n")),
    "chunk_extension": (chunked(b"3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n"), b"abc"),
    "chunk_upper_hex": (chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789"),
    "chunk_zeros": (chunked(b"003\r\nabc\r\n000\r\n\r\n"), b"abc"),
    "trailer_framing_is_dropped": (chunked(b"3\r\nabc\r\n0\r\ncontent-length: 50\r\ntransfer-encoding: x\r\nhost: b\r\n\r\n"), b"abc"),
    "one_empty_line": (b"\r\n" + post(b"content-length: 3", body=b"abc"), b"abc"),
    "expect": (post(b"expect: 100-continue", b"content-length: 3", body=b"abc"), b"abc"),
    "unknown_method": (post(b"content-length: 3", body=b"abc", method=b"BREW"), b"abc"),
}


@pytest.fixture(scope="module")
def upstream(upstream):
    upstream.num_hidden = 0
    return upstream


@pytest.fixture(scope="module")
def port(upstream, shared_proxy):
    return shared_proxy(upstream.port)[1]


def check_controls(port, upstream, name):
    """Two requests on one connection, two more beside it: each gets the answer made for it."""
    with Client(port) as client:
        for number in range(2):
            target = f"/control/{name}/{number}"
            client.send(b"GET %s HTTP/1.1\r\nhost: a.test\r\n\r\n" % target.encode())
            answer = client.answer()
            assert answer is not None and answer.status == 200 and answer.body == target.encode()
    for number in range(2, 4):
        assert get(port, f"/control/{name}/{number}").body == f"/control/{name}/{number}".encode()
    found = [request for request in upstream.requests() if "/hidden" in request.target]
    assert len(found) == upstream.num_hidden, "a request out of a payload"
    upstream.num_hidden = len(found)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(name, port, upstream):
    status, payload = REFUSED[name]
    before = upstream.targets().count("/case")
    with Client(port) as client:
        client.send(payload)
        answer = client.answer()
        assert answer is not None and answer.status == status
        assert answer.get("connection") == "close"
        client.send(HIDDEN)
        assert client.is_ended()
    check_controls(port, upstream, name)
    assert upstream.targets().count("/case") == before, "a refused request was whole upstream"


@pytest.mark.parametrize("name", TAKEN)
def test_taken_as_one_request(name, port, upstream):
    payload, body = TAKEN[name]
    target = f"/taken/{name}"
    with Client(port) as client:
        client.send(payload.replace(b"/case", target.encode()))
        answer = client.answer()
        assert answer is not None and answer.status == 200 and answer.body == target.encode()
        client.send(b"GET /next/%s HTTP/1.1\r\nhost: a.test\r\n\r\n" % name.encode())
        assert client.answer().body == f"/next/{name}".encode()
    check_controls(port, upstream, name)
    mine = [request for request in upstream.requests() if request.target == target]
    assert [request.body for request in mine] == [body]
    assert not [key for key, _ in mine[0].headers if "_" in key]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_pieces_do_not_change_what_is_read(size, port, upstream):
    """Payloads and pipelines cut at any byte: same answers in the same order."""
    stream = b"".join(TAKEN[name][0].replace(b"/case", b"/cut/%d/%s" % (size, name.encode()))
                      for name in ("te_case", "length_zeros", "chunk_extension", "trailer_framing_is_dropped", "body_hides_request"))
    with Client(port) as client:
        for at in range(0, len(stream), size):
            client.send(stream[at:at + size])
        for name in ("te_case", "length_zeros", "chunk_extension", "trailer_framing_is_dropped", "body_hides_request"):
            assert client.answer().body == b"/cut/%d/%s" % (size, name.encode())
    check_controls(port, upstream, f"cut{size}")


def test_pipelined_answers_keep_their_order(port, upstream):
    requests = []
    for number in range(30):
        body = HIDDEN * (number % 3)
        kind = [post(b"content-length: %d" % len(body), body=body, target=b"/line/%d" % number),
                chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), target=b"/line/%d" % number),
                b"GET /line/%d HTTP/1.1\r\nhost: a.test\r\n\r\n" % number,
                b"HEAD /line/%d HTTP/1.1\r\nhost: a.test\r\n\r\n" % number][number % 4]
        requests.append(kind)
    with Client(port) as client:
        client.send(b"".join(requests))
        for number, request in enumerate(requests):
            answer = client.answer("HEAD" if request.startswith(b"HEAD") else "GET")
            assert answer.status == 200 and answer.get("x-id") == f"/line/{number}"
        assert not client.rest
    check_controls(port, upstream, "line")


def test_a_cut_body_is_never_made_whole(port, upstream):
    for head in (post(b"content-length: 100", target=b"/cut-off"), chunked(b"64\r\n", target=b"/cut-off")):
        with Client(port) as client:
            client.send(head + b"abc")
            assert client.sock.close() is None
        check_controls(port, upstream, "cut-off")
    assert "/cut-off" not in upstream.targets()


# ---- the other direction: what an upstream may not do ----

def response(*lines, body=b"", status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


BAD_ANSWERS = {
    "length_and_coding": response(b"content-length: 3", TE, body=CHUNKS),
    "two_lengths": response(b"content-length: 3", b"content-length: 4", body=b"abcd"),
    "length_list": response(b"content-length: 3, 4", body=b"abcd"),
    "length_negative": response(b"content-length: -1", body=b"abc"),
    "length_plus": response(b"content-length: +3", body=b"abc"),
    "length_overflow": response(b"content-length: 18446744073709551619", body=b"abc"),
    "coding_twice": response(TE, TE, body=CHUNKS),
    "coding_gzip": response(b"transfer-encoding: gzip, chunked", body=CHUNKS),
    "coding_unknown": response(b"transfer-encoding: xchunked", body=CHUNKS),
    "coding_http10": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "bare_lf": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "bare_cr": response(b"x: a\rb", b"content-length: 3", body=b"abc"),
    "nul": response(b"x: a\0b", b"content-length: 3", body=b"abc"),
    "folded": response(b"x: a", b" b", b"content-length: 3", body=b"abc"),
    "name_empty": response(b": a", b"content-length: 3", body=b"abc"),
    "name_space": response(b"content-length : 3", body=b"abc"),
    "no_colon": response(b"nonsense", b"content-length: 3", body=b"abc"),
    "no_status_line": b"hello\r\n\r\n",
    "http09": b"<html>hello</html>",
    "http2_status_line": b"HTTP/2 200\r\ncontent-length: 3\r\n\r\nabc",
    "status_two_digits": response(b"content-length: 3", body=b"abc", status=b"20 OK"),
    "status_four_digits": response(b"content-length: 3", body=b"abc", status=b"2000 OK"),
    "status_099": response(b"content-length: 3", body=b"abc", status=b"099 OK"),
    "status_600": response(b"content-length: 3", body=b"abc", status=b"600 Odd"),
    "switch_unasked": response(b"upgrade: websocket", b"connection: upgrade", status=b"101 Switching Protocols"),
    "info_flood": response(status=b"103 Early Hints") * 100 + response(b"content-length: 3", body=b"abc"),
    "info_with_body": response(b"content-length: 3", body=b"abc", status=b"100 Continue"),
    "head_1_mb": response(b"x: " + b"y" * 1000000, b"content-length: 3", body=b"abc"),
    "head_many_fields": response(*[b"x%d: y" % i for i in range(20000)], b"content-length: 3", body=b"abc"),
    "head_early_end": b"HTTP/1.1 200 OK\r\ncontent-le",
    "nothing": b"",
}
CUT_ANSWERS = {
    "body_early_end": response(b"content-length: 10", body=b"abc"),
    "chunk_early_end": response(TE, body=b"3\r\nabc\r\n"),
    "chunk_half": response(TE, body=b"3\r\nabc\r\na\r\nxyz"),
    "chunk_size_bad": response(TE, body=b"3\r\nabc\r\nxyz\r\n"),
    "chunk_size_overflow": response(TE, body=b"3\r\nabc\r\nfffffffffffffffff\r\n"),
    "chunk_size_minus": response(TE, body=b"3\r\nabc\r\n-1\r\nabc"),
    "chunk_lf": response(TE, body=b"3\r\nabc\r\n3\nabc\r\n0\r\n\r\n"),
    "chunk_no_crlf": response(TE, body=b"3\r\nabc\r\n3\r\nabcd\r\n0\r\n\r\n"),
    "chunk_extension_flood": response(TE, body=b"3\r\nabc\r\n" + b"1;" + b"e" * 100000),
    "trailer_1_mb": response(TE, body=b"3\r\nabc\r\n0\r\nx: " + b"y" * 1000000),
}


class Scripted:
    """An upstream whose answer to /bad is `wrong`, said once a connection and followed by the end unless `stays`; all
    else is answered with its target. Counts requests that came on a connection after /bad."""

    def __init__(self, make_raw, wrong, stays=False):
        self.wrong, self.stays, self.num_after = wrong, stays, 0
        self.raw = make_raw(self.script)

    def script(self, sock, record):
        start, was_bad = 0, False
        while (end := Raw.read_head(sock, record, start)) is not None:
            self.num_after += was_bad
            target = bytes(record[start:end]).split(b" ")[1]
            start = end
            if target == b"/bad":
                was_bad = True
                sock.sendall(self.wrong)
                if not self.stays:
                    return
            else:
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(target), target))


@pytest.fixture(scope="module")
def scripted(shared_proxy, module_stopping):
    def make_raw(script):
        server = Raw(script)
        module_stopping.append(server)
        return server

    server = Scripted(make_raw, b"")
    server.port = shared_proxy(server.raw.port)[1]
    return server


def check_after_bad(server):
    with Client(server.port) as client:
        for number in range(3):
            client.send(b"GET /own/%d HTTP/1.1\r\nhost: a.test\r\n\r\n" % number)
            answer = client.answer()
            assert answer.status == 200 and answer.body == b"/own/%d" % number
    assert server.num_after == 0, "the connection was used again"


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_502(name, stays, scripted):
    if stays and name in ("nothing", "head_early_end", "http09"):
        return  # an unfinished head may still become a good one
    scripted.wrong, scripted.stays, scripted.num_after = BAD_ANSWERS[name], stays, 0
    answer = ask(scripted.port, b"POST /bad HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n")
    assert answer is not None and answer.status == 502 and b"abc" not in answer.body
    check_after_bad(scripted)


@pytest.mark.parametrize("name", CUT_ANSWERS)
def test_a_body_that_breaks_is_seen_to_break(name, scripted):
    scripted.wrong, scripted.stays, scripted.num_after = CUT_ANSWERS[name], not name.endswith(("end", "half")), 0
    answer = ask(scripted.port, b"POST /bad HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n")
    assert answer is None or not answer.is_whole or answer.status == 502
    check_after_bad(scripted)


@pytest.mark.parametrize("name,wrong", [
    ("two_answers", response(b"content-length: 4", body=b"/bad") + response(b"content-length: 6", body=b"/stray")),
    ("bytes_behind", response(b"content-length: 4", body=b"/bad") + b"HTTP"),
    ("chunked_and_more", response(TE, body=b"4\r\n/bad\r\n0\r\n\r\n" + response(b"content-length: 6", body=b"/stray"))),
    ("body_with_204", response(b"content-length: 6", body=b"/stray", status=b"204 No Content")),
    ("body_with_304", response(b"content-length: 6", body=b"/stray", status=b"304 Not Modified")),
    ("close", response(b"content-length: 4", b"connection: close", body=b"/bad")),
    ("until_close", b"HTTP/1.0 200 OK\r\n\r\n/bad"),
])
def test_what_follows_an_answer_is_nobodys(name, wrong, scripted):
    scripted.wrong, scripted.stays, scripted.num_after = wrong, name != "until_close", 0
    answer = ask(scripted.port, b"POST /bad HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n")
    assert answer.status in (200, 204, 304) and answer.body == (b"/bad" if answer.status == 200 else b"")
    check_after_bad(scripted)


def test_an_answer_to_head_never_leaks_into_the_next(scripted):
    scripted.wrong, scripted.stays, scripted.num_after = response(b"content-length: 4", body=b"/bad"), True, 0
    answer = ask(scripted.port, b"HEAD /bad HTTP/1.1\r\nhost: a.test\r\n\r\n", "HEAD")
    assert answer.status == 200
    check_after_bad(scripted)


def test_what_an_idle_upstream_says_is_not_an_answer(make_raw, make_proxy):
    """Bytes on a connection where nothing was asked: it is closed at once, and the next request has its own answer.
    (Bytes that arrive together with a request are beyond any proxy's knowledge.)"""
    asked, refused = threading.Semaphore(0), threading.Semaphore(0)

    def script(sock, record):
        end = Raw.read_head(sock, record)
        target = bytes(record[:end]).split(b" ")[1]
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(target), target))
        assert asked.acquire(timeout=30)
        sock.sendall(response(b"content-length: 6", body=b"/stray"))
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass  # closed with bytes unread
        refused.release()

    raw = make_raw(script)
    _, port = make_proxy(raw.port)
    for number in range(10):
        assert get(port, f"/{number}").body == b"/%d" % number
        asked.release()
        assert refused.acquire(timeout=30), "the connection is still open"


def test_early_answer_leaves_the_rest_of_the_body_nowhere(make_raw, make_proxy):
    """The upstream answers before the body is sent: the rest must not be read as a request on either side."""
    def script(sock, record):
        start = 0
        while (end := Raw.read_head(sock, record, start)) is not None:
            target = re.match(rb"\S+ (\S+)", bytes(record[start:end]))[1]
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(target), target))
            start = end

    raw = make_raw(script)
    _, port = make_proxy(raw.port)
    with Client(port) as client:
        client.send(post(b"content-length: %d" % len(HIDDEN), target=b"/early"))
        assert client.answer().body == b"/early"
        client.send(HIDDEN + b"GET /behind HTTP/1.1\r\nhost: a.test\r\n\r\n")
        answer = client.answer()
        assert answer is None or answer.body == b"/behind"
    assert get(port, "/other").body == b"/other"
    assert not [record for record in raw.received if bytes(record).startswith(HIDDEN[:11])]
