"""Weighted shares by cohort: who has a key stays with a version while weights move."""
import http.client
import json

from lib.gateway import manifests, route
from lib.process import free_port
from lib.upstream import Echo

ANNOTATION = "selvedge.dev/cohort"


def split(weight, cohort):
    document = route("shop", [("one", 100 - weight), ("two", weight)])
    return document.replace("metadata: {", "metadata: {annotations: {%s: '%s'}, " % (ANNOTATION, cohort))


def version_of(port, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    name = json.loads(answer.read())["name"]
    connection.close()
    return name


def versions(port, header, value):
    return [version_of(port, {header: value % user}) for user in range(120)]


def explain(gateway, port, headers):
    status, text = gateway.api("POST", "/selvedge/v1/explain", json.dumps({"url": f"http://x:{port}/", "headers": headers}))
    assert status == 200, text
    return json.loads(text)


def test_users_keep_their_version_while_weights_move(gateway, stopping):
    port = free_port()
    shops = {name: Echo(name) for name in ("one", "two")}
    stopping.extend(shops.values())
    ports = {name: shop.port for name, shop in shops.items()}
    gateway.apply(manifests(port, ports, split(20, "cookie:session, header:X-User")))
    few = versions(port, "cookie", "theme=dark; session=s%d")
    assert few == versions(port, "cookie", "session=s%d") == versions(port, "x-user", "s%d")
    assert 8 < few.count("two") < 45
    gateway.apply(split(60, "cookie:session, header:X-User"))
    many = versions(port, "cookie", "session=s%d")
    assert all(after == "two" for before, after in zip(few, many) if before == "two") and many.count("two") > few.count("two")
    told = explain(gateway, port, {"cookie": "session=s1"})
    assert told["cohort"] == "cookie session" and told["backend"].endswith(f"{many[1]}:80")
    assert "cohort" not in explain(gateway, port, {})
    assert {version_of(port, {}) for _ in range(60)} == {"one", "two"}  # without a key, chance
    gateway.apply(split(50, "client"))
    assert len({version_of(port, {}) for _ in range(20)}) == 1  # all from one address


def test_a_cohort_that_is_none_is_refused_by_its_place(gateway):
    status, text = gateway.api("POST", "/selvedge/v1/apply", split(10, "client, cooky:a"), "application/yaml")
    assert status == 422
    assert f'metadata.annotations[{ANNOTATION}]' in text and '\\"cooky:a\\" is not cookie:NAME, header:NAME or client' in text, text
