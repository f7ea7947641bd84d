"""Debian's kubectl against the control API, unchanged: what a person who knows it would type."""
import json
import subprocess

import pytest
import yaml

from lib.control import GATEWAY, kubectl_path, route, service
from lib.process import wait_until

pytestmark = pytest.mark.skipif(kubectl_path() is None, reason="kubectl is not installed (package kubernetes-client)")


@pytest.fixture
def shop(control):
    """A gateway, a service and a route, applied by kubectl."""
    control.kubectl("apply", "-f", "-", stdin=GATEWAY + service() + route())
    return control


def test_version_and_api_resources_are_found(control):
    assert "selvedge" in control.kubectl("version")
    resources = control.kubectl("api-resources", "-o", "wide")
    for name in ("httproutes", "gateways", "backendtrafficpolicies", "services", "meshconfigs"):
        assert name in resources
    assert "v1beta1" in control.kubectl("api-versions")


def test_auth_can_i_is_answered(control):
    assert control.kubectl("auth", "can-i", "create", "httproutes").strip() == "yes"
    viewer = control.make_token("v", "viewer")
    assert control.kubectl("auth", "can-i", "get", "gateways", token=viewer).strip() == "yes"
    assert "the caller is viewer" in control.kubectl("auth", "can-i", "delete", "gateways", token=viewer, code=1)
    rules = control.kubectl("auth", "can-i", "--list", token=viewer)
    assert "httproutes.gateway.networking.k8s.io" in rules and "[get list watch]" in rules


@pytest.mark.parametrize("command", ["logs web", "scale --replicas=2 svc/web", "exec web -- ls", "get events", "create deployment x --image=y"])
def test_what_is_not_served_is_refused_by_name(shop, command):
    text = shop.kubectl(*command.split(), code=1)
    assert any(word in text for word in ('resource type "pods"', 'subresource "scale"', 'resource type "events"', '"deployments" in apps/v1')), text


def test_prune_of_named_kinds(control, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(service(name).replace("namespace: default", "namespace: default, labels: {set: x}"))
    prune = ("apply", "--prune", "-l", "set=x", "--prune-whitelist=core/v1/Service", "-f")
    control.kubectl(*prune, tmp_path / "a.yaml", "-f", tmp_path / "b.yaml")
    assert "service/b pruned" in control.kubectl(*prune, tmp_path / "a.yaml")


def test_apply_creates_then_leaves_alone(shop):
    before = shop.kubectl("get", "svc", "web", "-o", "jsonpath={.metadata.resourceVersion}")
    out = shop.kubectl("apply", "-f", "-", stdin=GATEWAY + service() + route())
    assert "created" not in out
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.metadata.resourceVersion}") == before


def test_get_as_table_wide_yaml_name_and_jsonpath(shop):
    table = shop.kubectl("get", "httproutes").splitlines()
    assert table[0].split() == ["NAME", "HOSTNAMES", "PARENTS", "ACCEPTED", "AGE"]
    assert table[1].split()[:3] == ["web", "a.example", "edge"]
    assert "BACKENDS" in shop.kubectl("get", "httproutes", "-o", "wide")
    assert "NAMESPACE" in shop.kubectl("get", "httproutes", "-A")
    document = yaml.safe_load(shop.kubectl("get", "httproute", "web", "-o", "yaml"))
    assert document["spec"]["rules"][0]["backendRefs"][0]["weight"] == 1
    assert shop.kubectl("get", "httproute", "-o", "name").strip() == "httproute.gateway.networking.k8s.io/web"
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[0].port}") == "80"
    assert shop.kubectl("get", "gc,ns", "-o", "name").split() == ["gatewayclass.gateway.networking.k8s.io/selvedge", "namespace/default"]


def test_get_by_older_version_is_written_in_it(shop):
    text = shop.kubectl("get", "httproutes.v1beta1.gateway.networking.k8s.io", "web", "-o", "yaml")
    assert yaml.safe_load(text)["apiVersion"] == "gateway.networking.k8s.io/v1beta1"


def test_describe_tells_spec_and_conditions(shop):
    text = shop.kubectl("describe", "httproute", "web")
    assert "a.example" in text and "Accepted" in text
    assert "80/TCP" in shop.kubectl("describe", "svc", "web")
    shop.kubectl("apply", "-f", "-", stdin="""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 9999}]
endpoints: [{addresses: [127.0.0.1]}]
""")
    shop.kubectl("create", "configmap", "c", "--from-literal=a=b")
    assert "127.0.0.1" in shop.kubectl("describe", "endpointslices") and "edge" in shop.kubectl("describe", "gateways")
    for kind in shop.kubectl("api-resources", "-o", "name", "--verbs=list").split():
        shop.kubectl("describe", kind)


def test_edit_changes_what_the_editor_changed(shop, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/port: 80$/port: 8081/" "$1"\n')
    editor.chmod(0o755)
    shop.kubectl("edit", "svc", "web", env={"EDITOR": str(editor), "KUBE_EDITOR": str(editor)})
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[0].port}") == "8081"


def test_diff_shows_the_change_and_changes_nothing(shop):
    before = shop.kubectl("get", "httproute", "web", "-o", "jsonpath={.metadata.generation}")
    text = shop.kubectl("diff", "-f", "-", stdin=route(weight=7), code=1)
    assert "-      weight: 1" in text and "+      weight: 7" in text
    assert shop.kubectl("get", "httproute", "web", "-o", "jsonpath={.metadata.generation}") == before


def test_server_dry_run_validates_and_stores_nothing(control):
    control.kubectl("apply", "--dry-run=server", "-f", "-", stdin=service("ghost"))
    control.kubectl("get", "svc", "ghost", code=1)


def test_json_patch(shop):
    shop.kubectl("patch", "svc", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/ports/0/port","value":82}]')
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].port}") == "82"
    refused = shop.kubectl("patch", "svc", "web", "--type=json", "-p", '[{"op":"test","path":"/spec/ports/0/port","value":1}]', code=1)
    assert "test" in refused


def test_merge_patch(shop):
    shop.kubectl("patch", "httproute", "web", "--type=merge", "-p", '{"spec":{"hostnames":["b.example","c.example"]}}')
    assert shop.kubectl("get", "httproute", "web", "-o", "jsonpath={.spec.hostnames}") == '["b.example","c.example"]'


def test_strategic_patch_merges_ports_by_number(shop):
    shop.kubectl("patch", "svc", "web", "-p", '{"spec":{"ports":[{"port":81,"name":"other"}]}}')
    assert sorted(shop.kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].port}").split()) == ["80", "81"]
    shop.kubectl("patch", "svc", "web", "-p", '{"spec":{"ports":[{"port":81,"$patch":"delete"}]}}')
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].port}") == "80"


def test_label_annotate_and_select(shop):
    shop.kubectl("label", "svc", "web", "tier=front")
    shop.kubectl("annotate", "svc", "web", "note=x")
    assert "web" in shop.kubectl("get", "svc", "-l", "tier in (front,back)", "-o", "name")
    assert shop.kubectl("get", "svc", "-l", "tier!=front", "-o", "name") == ""
    assert "web" in shop.kubectl("get", "svc", "--field-selector", "metadata.name=web", "-o", "name")
    shop.kubectl("label", "svc", "web", "tier-")
    assert shop.kubectl("get", "svc", "-l", "tier", "-o", "name") == ""


def test_generation_counts_changes_of_spec_only(shop):
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.metadata.generation}") == "1"
    shop.kubectl("label", "svc", "web", "a=b")
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.metadata.generation}") == "1"
    shop.kubectl("apply", "-f", "-", stdin=service(port=81))
    assert shop.kubectl("get", "svc", "web", "-o", "jsonpath={.metadata.generation}") == "2"


def test_delete_waits_until_it_is_gone(shop):
    assert "deleted" in shop.kubectl("delete", "svc", "web")
    shop.kubectl("get", "svc", "web", code=1)
    assert "NotFound" in shop.kubectl("delete", "svc", "web", code=1)
    shop.kubectl("delete", "httproutes", "--all")
    assert shop.kubectl("get", "httproutes", "-o", "name") == ""


def test_wait_for_a_condition(shop):
    assert "met" in shop.kubectl("wait", "--for=condition=Accepted", "gatewayclass/selvedge", "--timeout=30s")
    assert "met" in shop.kubectl("wait", "--for=condition=Accepted", "gateway/edge", "--timeout=30s")


def test_get_w_streams_rows_as_they_change(shop, tmp_path):
    out = tmp_path / "watch"
    with open(out, "wb") as sink:
        watcher = subprocess.Popen(shop.kubectl_command("get", "svc", "-w"), stdout=sink, stderr=sink)
        try:
            wait_until("the first row", lambda: "web" in out.read_text())
            shop.kubectl("apply", "-f", "-", stdin=service("later", port=90))
            wait_until("the new row", lambda: "later" in out.read_text() and "90/TCP" in out.read_text())
            shop.kubectl("delete", "svc", "web")
            wait_until("a row of the deleted", lambda: out.read_text().count("web") >= 2)
        finally:
            watcher.terminate()
            watcher.wait()
    assert out.read_text().count("EXTERNAL-NAME") == 1, "columns are told once"


def test_explain_reads_the_openapi_document(control):
    text = control.kubectl("explain", "httproute.spec.rules.matches")
    assert "headers" in text and "RESOURCE" in text
    assert "port" in control.kubectl("explain", "svc.spec.ports")
    assert "listeners" in control.kubectl("explain", "gateways", "--recursive")


def test_client_side_validation_knows_the_fields(control):
    text = control.kubectl("apply", "-f", "-", stdin=route().replace("hostnames:", "hostNames:"), code=1)
    assert "hostNames" in text


def test_server_side_validation_names_the_field(control):
    text = control.kubectl("apply", "--validate=false", "-f", "-", stdin=route().replace("hostnames:", "hostNames:"), code=1)
    assert 'unknown field "spec.hostNames"' in text
    text = control.kubectl("apply", "--validate=false", "-f", "-", stdin=service(port=70000), code=1)
    assert "spec.ports[0].port" in text


def test_namespaces_are_created_first_and_take_their_contents_along(control):
    refused = control.kubectl("apply", "-f", "-", stdin=service(namespace="shop"), code=1)
    assert 'namespaces "shop" not found' in refused
    control.kubectl("create", "namespace", "shop")
    control.kubectl("apply", "-f", "-", stdin=service(namespace="shop"))
    assert "Active" in control.kubectl("get", "ns", "shop")
    control.kubectl("delete", "namespace", "shop")
    assert control.kubectl("get", "svc", "-A", "-o", "name") == ""
    assert "forbidden" in control.kubectl("delete", "namespace", "default", code=1)


def test_create_replace_and_conflict(control):
    control.kubectl("create", "-f", "-", stdin=service())
    assert "AlreadyExists" in control.kubectl("create", "-f", "-", stdin=service(), code=1)
    old = yaml.safe_load(control.kubectl("get", "svc", "web", "-o", "yaml"))
    control.kubectl("replace", "-f", "-", stdin=service(port=81))
    old["spec"]["ports"][0]["port"] = 82
    refused = control.kubectl("replace", "-f", "-", stdin=json.dumps(old), code=1)
    assert "the object has been modified" in refused and "spec.ports[http].port" in refused


def test_create_of_secrets_and_configmaps(control):
    control.kubectl("create", "secret", "generic", "s", "--from-literal=key=value")
    control.kubectl("create", "configmap", "c", "--from-literal=a=b")
    assert control.kubectl("get", "secret", "s", "-o", "jsonpath={.data.key}") == "dmFsdWU="
    assert "key" in control.kubectl("describe", "secret", "s")


def test_server_side_apply_keeps_other_managers_fields(control):
    def ssa(text, manager, *more, code=0):
        return control.kubectl("apply", "--server-side", "--validate=false", "--field-manager", manager, *more, "-f", "-", stdin=text, code=code)

    ssa(route(), "a")
    ssa("""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: default, labels: {team: b}}
""", "b")
    assert control.kubectl("get", "httproute", "web", "-o", "jsonpath={.metadata.labels.team}") == "b"
    assert control.kubectl("get", "httproute", "web", "-o", "jsonpath={.spec.hostnames[0]}") == "a.example"
    conflict = ssa("""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: default}
spec: {hostnames: [z.example]}
""", "b", code=1)
    assert "conflict" in conflict and ".spec.hostnames" in conflict
    # What a manager leaves out goes, when nobody else owns it.
    ssa("""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: default, annotations: {x: z}}
""", "b")
    assert control.kubectl("get", "httproute", "web", "-o", "jsonpath={.metadata.labels}") == ""
    ssa(route(hostname="z.example"), "c", "--force-conflicts")
    assert control.kubectl("get", "httproute", "web", "-o", "jsonpath={.spec.hostnames[0]}") == "z.example"


def test_client_side_apply_turns_into_server_side_apply(control):
    """kubectl's first server-side apply of what it applied itself: no conflict, and what is left out goes."""
    both = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "%s"%s}\n'
    control.kubectl("apply", "-f", "-", stdin=both % ("1", ', b: "1"') + route())
    control.kubectl("apply", "--server-side", "-f", "-", stdin=both % ("2", "") + route(hostname="b.example"))
    assert json.loads(control.kubectl("get", "configmap", "c", "-o", "json"))["data"] == {"a": "2"}
    control.kubectl("apply", "-f", "-", stdin=both % ("3", ', b: "1"'))  # and back, and forth
    control.kubectl("apply", "--server-side", "-f", "-", stdin=both % ("4", ""))
    assert json.loads(control.kubectl("get", "configmap", "c", "-o", "json"))["data"] == {"a": "4"}
    assert control.kubectl("get", "httproute", "web", "-o", "jsonpath={.spec.hostnames[0]}") == "b.example"


def test_edits_are_owned_by_who_made_them(control):
    control.kubectl("apply", "--server-side", "--field-manager", "git", "-f", "-", stdin=service())
    control.kubectl("patch", "svc", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/ports/0/name","value":"renamed"}]')
    conflict = control.kubectl("apply", "--server-side", "--field-manager", "git", "-f", "-", stdin=service(), code=1)
    assert "conflict" in conflict and "kubectl" in conflict
