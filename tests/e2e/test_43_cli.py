"""The command line against a real control process: every verb, what it prints, and its exit codes."""
import json
import os
import subprocess

import pytest

from lib.cli import Cli
from lib.control import GATEWAY, kubectl_path, route, service
from lib.gateway import manifests
from lib.process import BIN, free_port, wait_until

OK, DIFFERENT, USAGE, REFUSED, UNREACHABLE, NOT_FOUND, LOCAL = range(7)
BAD_ROUTE = route().replace("port: 80", "port: 99999")


@pytest.fixture
def cli(control, tmp_path):
    return Cli(tmp_path, "--socket", control.socket)


@pytest.fixture
def shop(cli, tmp_path):
    """A folder with a Gateway, a Service and an HTTPRoute, applied."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "10-gateway.yaml").write_text(GATEWAY)
    (folder / "20-service.yaml").write_text(service())
    (folder / "30-route.yaml").write_text(route())
    (folder / "notes.txt").write_text("not a manifest")
    cli("apply", "-f", folder, "--message", "the shop")
    return folder


def revision_of(output):
    return int(output.rsplit("revision ", 1)[1].split()[0].rstrip(":"))


# ---- apply ----

def test_apply_tells_what_happened_to_each_object(cli, shop):
    assert cli("apply", "-f", shop).count("unchanged") == 3
    (shop / "30-route.yaml").write_text(route(weight=2))
    out = cli("apply", "-f", shop)
    assert "httproute.gateway.networking.k8s.io/web configured" in out and out.count("unchanged") == 2
    assert "httproute.gateway.networking.k8s.io/web unchanged" in cli("apply", "-f", "-", stdin=route(weight=2))


UNKNOWN_KINDS = """apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: default}
"""


def test_a_kind_that_is_not_served_is_named_where_it_stands(control, cli, tmp_path):
    """Manifests for clusters give one name to everything: none of it may be taken for another."""
    (tmp_path / "all.yaml").write_text(UNKNOWN_KINDS)
    cli("apply", "-f", tmp_path / "all.yaml", code=REFUSED)
    assert 'all.yaml:6: Deployment web: no matches for kind "Deployment" in version "apps/v1"' in cli.stderr
    assert 'all.yaml:10: ServiceAccount web: no matches for kind "ServiceAccount" in version "v1"' in cli.stderr
    assert "2 of 3 objects refused" in cli.stderr and "Namespace" not in cli.stderr
    answer = control.apply(UNKNOWN_KINDS, status=404)
    assert answer["details"]["kind"] == "Deployment" and 'the first: Deployment "web"' in answer["message"]


def revisions(cli):
    """What history lists, without ages: those move on."""
    return [line.split()[0] for line in cli("history").splitlines()]


def test_apply_refuses_all_or_nothing_and_names_file_and_line(cli, shop):
    before = revisions(cli)
    (shop / "25-new.yaml").write_text(service("new"))
    (shop / "30-route.yaml").write_text("# a comment\n" + BAD_ROUTE)
    cli("apply", "-f", shop, code=REFUSED)
    assert "30-route.yaml:3: HTTPRoute web: spec.rules[0].backendRefs[0].port: " in cli.stderr
    assert "nothing was changed" in cli.stderr
    assert revisions(cli) == before


@pytest.mark.parametrize("text, place", [("a: [", "bad.yaml: line"), ("a: 1\na: 2", "bad.yaml: line 2"), ("- 1", "bad.yaml:1"), ("", "no objects")])
def test_files_that_cannot_be_read_are_told_before_anything_is_sent(cli, tmp_path, text, place):
    (tmp_path / "bad.yaml").write_text(text)
    cli("apply", "-f", "bad.yaml", code=LOCAL)
    assert place in cli.stderr
    cli("apply", "-f", "absent.yaml", code=LOCAL)


def test_dry_run_shows_fields_and_changes_nothing(cli, shop):
    before = revisions(cli)
    (shop / "30-route.yaml").write_text(route(weight=7))
    out = cli("apply", "-f", shop, "--dry-run")
    assert "~ spec.rules[main].backendRefs[web].weight: 1 -> 7" in out and "revision" not in out
    assert revisions(cli) == before


def test_prune_deletes_what_the_owner_no_longer_has(cli, tmp_path):
    cli("apply", "-f", "-", "--owner", "team", stdin=service("a") + service("b"))
    cli("apply", "-f", "-", stdin=service("foreign"))
    out = cli("apply", "-f", "-", "--owner", "team", "--prune", stdin=service("a"))
    assert "service/b pruned" in out
    assert cli("get", "services", "-o", "name").split() == ["service/a", "service/foreign"]


def test_wait_tells_when_it_is_live(cli, shop):
    assert "is compiled; no node is connected" in cli("apply", "-f", "-", "--wait", stdin=route(weight=3))


def test_namespaces_come_from_n_and_may_not_contradict(cli):
    cli("apply", "-f", "-", stdin="apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    bare = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}]}\n"
    cli("apply", "-f", "-", "-n", "shop", stdin=bare)
    assert "x" in cli("get", "services", "-n", "shop")
    cli("apply", "-f", "-", "-n", "shop", code=LOCAL, stdin=service())
    assert "is in namespace default, but -n says shop" in cli.stderr


# ---- get ----

def test_tables_are_aligned_and_without_colour_in_a_pipe(cli, shop):
    cli("apply", "-f", "-", stdin=route("a-route-with-a-long-name"))
    lines = cli("get", "httproutes").splitlines()
    assert lines[0].split()[:2] == ["NAME", "HOSTNAMES"] and lines[0].rstrip().endswith("AGE") and "\033" not in "".join(lines)
    column = lines[0].index("HOSTNAMES")
    assert all(line[column - 1] == " " and line[column] != " " for line in lines)
    assert [line.split()[0] for line in cli("get", "httproutes", "--no-headers").splitlines()] == ["a-route-with-a-long-name", "web"]


def test_forms_of_output(cli, shop):
    assert json.loads(cli("get", "httproute/web", "-o", "json"))["spec"]["hostnames"] == ["a.example"]
    listed = json.loads(cli("get", "httproutes,services", "-A", "-o", "json"))
    assert listed["kind"] == "List" and [item["kind"] for item in listed["items"]] == ["HTTPRoute", "Service"]
    assert cli("get", "httproute", "web", "-o", "yaml").startswith("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n")
    assert cli("get", "gateways", "-o", "name") == "gateway.gateway.networking.k8s.io/edge\n"
    assert cli("get", "httproutes", "-o", "jsonpath={range .items[*]}{.metadata.name} {.spec.rules[*].name}{\"\\n\"}{end}") == "web main\n"
    assert "LISTENERS" in cli("get", "gateways", "-o", "wide")


def test_get_writes_what_apply_takes(cli, shop):
    text = cli("get", "httproute", "web", "-o", "yaml")
    cli("delete", "httproute/web")
    fresh = "\n".join(line for line in text.splitlines() if not line.startswith("  resourceVersion") and not line.startswith("  uid"))
    cli("apply", "-f", "-", stdin=fresh.split("\nstatus:")[0])
    assert json.loads(cli("get", "httproute/web", "-o", "json"))["spec"]["rules"][0]["backendRefs"][0]["port"] == 80


def test_what_is_not_there_is_5_and_the_rest_is_shown(cli, shop):
    assert "web" in cli("get", "httproute", "web", "absent", code=NOT_FOUND)
    assert '"absent" not found' in cli.stderr
    cli("get", "httproute", "absent", "--ignore-not-found")
    assert cli("get", "httproutes", "-l", "app=none") == "" and "No resources found in namespace default" in cli.stderr


def test_watching_goes_on_with_changes(control, cli, shop):
    args = [BIN / "selvedge", "get", "services", "-w", "-o", "name", "--socket", control.socket]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        try:
            assert watch.stdout.readline() == "service/web\n"
            cli("apply", "-f", "-", stdin=service("second"))
            assert watch.stdout.readline() == "service/second\n"
        finally:
            watch.send_signal(2)
            assert watch.wait(30) == 130


# ---- diff, history, rollback ----

def test_diff_of_files(cli, shop):
    assert cli("diff", "-f", shop) == ""
    (shop / "30-route.yaml").write_text(route(weight=9))
    (shop / "40-new.yaml").write_text(service("new"))
    out = cli("diff", "-f", shop, code=DIFFERENT)
    assert "-      weight: 1\n+      weight: 9\n" in out
    assert "--- /dev/null\n+++ new service/new -n default\n" in out
    (shop / "30-route.yaml").write_text(BAD_ROUTE)
    cli("diff", "-f", shop, code=REFUSED)


def test_history_tells_which_values_of_a_secret_changed_and_not_what_they_are(cli):
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {kept: same-value, key: %s}\n"
    first = revision_of(cli("apply", "-f", "-", stdin=secret % "old-value"))
    second = revision_of(cli("apply", "-f", "-", stdin=secret % "new-value"))
    assert cli("history", second).endswith("secret/s -n default update\n  ~ data[key]: changed\n")
    assert "~ data[key]: changed\n" in cli("diff", first, second, code=DIFFERENT)


def test_history_diff_and_rollback(cli, shop):
    first = revision_of(cli("apply", "-f", "-", "-m", "more", stdin=route(weight=5)))
    second = revision_of(cli("apply", "-f", "-", "-m", "even more", stdin=route(weight=6) + service("late")))
    lines = cli("history", "--limit", 2).splitlines()
    assert lines[1].split()[0] == str(second) and lines[1].endswith("even more") and "and 1 more" in lines[1] and len(lines) == 3
    assert "~ spec.rules[main].backendRefs[web].weight: 5 -> 6" in cli("history", second)
    out = cli("diff", first, second, code=DIFFERENT)
    assert "-      weight: 5\n+      weight: 6\n" in out and "+++ revision" in out
    assert cli("diff", second, second) == ""
    assert "service/late deleted (dry run)" in cli("rollback", first, "--dry-run")
    assert "service/late" in cli("get", "services", "-o", "name")
    cli("rollback", first, "--message", "too much")
    assert "service/late" not in cli("get", "services", "-o", "name")
    assert cli("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}") == "5"
    assert "too much" in cli("history", "httproute/web")
    cli("rollback", second, "httproute/web")
    assert cli("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}") == "6"
    assert "service/late" not in cli("get", "services", "-o", "name")
    cli("rollback", 99999, code=REFUSED)


def test_the_newest_change_of_one_object_is_undone_without_its_number(cli, shop):
    weight = ("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}")
    before = cli(*weight)
    rev = revision_of(cli("apply", "-f", "-", stdin=route(weight=7)))
    cli("apply", "-f", "-", stdin=service("other"))
    assert f"as it was at {rev - 1}" in cli("rollback", "httproute/web")
    assert cli(*weight) == before and "service/other" in cli("get", "services", "-o", "name")
    cli("undo", "httproute/web")
    assert cli(*weight) == "7", "an undo is a change like any other"
    cli("rollback", "httproute/nobody", code=REFUSED)
    assert "no change is known" in cli.stderr


def test_a_rollback_gives_fields_back_to_those_who_owned_them(cli, shop):
    """Also of what was deleted meanwhile: the next apply of the same files is nobody's conflict."""
    before = revision_of(cli("apply", "-f", "-", stdin=route(weight=5)))
    cli("delete", "-f", shop)
    cli("rollback", before)
    cli("apply", "-f", "-", stdin=route(weight=6))
    cli("rollback", before)
    cli("apply", "-f", shop)
    assert cli("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}") == "1"


# ---- edit, delete ----

def editor(tmp_path, text):
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    return {"EDITOR": str(script), "TMPDIR": str(tmp_path)}


def test_edit_writes_back_what_was_changed(cli, shop, tmp_path):
    cli("edit", "httproute/web", env=editor(tmp_path, 'sed -i "s/weight: 1/weight: 4/" "$1"'))
    assert cli("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}") == "4"
    cli("edit", "httproute/web", env=editor(tmp_path, "true"))
    assert "no change" in cli.stderr
    cli("edit", "httproute/web", env=editor(tmp_path, ': > "$1"'))
    assert "empty" in cli.stderr
    cli("edit", "httproute/web", code=LOCAL, env=editor(tmp_path, "exit 1"))
    cli("edit", "httproute/absent", code=NOT_FOUND)
    assert not list(tmp_path.glob("selvedge-edit-*")) or cli.stderr


def test_edit_opens_a_refused_text_again_with_the_reasons(cli, shop, tmp_path):
    cli("edit", "httproute/web", env=editor(tmp_path, f"""
if grep -q "^# Refused:" "$1"; then cp "$1" {tmp_path}/second; sed -i "s/weight: -5/weight: 8/" "$1"; else sed -i "s/weight: 1/weight: -5/" "$1"; fi"""))
    assert cli("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}") == "8"
    assert "spec.rules[0].backendRefs[0].weight" in (tmp_path / "second").read_text()


def test_edit_keeps_the_text_when_somebody_was_faster(control, cli, shop, tmp_path):
    other = f'{BIN}/selvedge apply --socket {control.socket} -f {tmp_path}/other.yaml >/dev/null\nsed -i "s/weight: 1/weight: 4/" "$1"'
    (tmp_path / "other.yaml").write_text(route(weight=50))
    cli("edit", "httproute/web", code=REFUSED, env=editor(tmp_path, other))
    kept = cli.stderr.rsplit("kept in ", 1)[1].strip()
    assert "weight: 4" in open(kept).read()
    assert cli("get", "httproute/web", "-o", "jsonpath={.spec.rules[0].backendRefs[0].weight}") == "50"


def test_delete(cli, shop):
    assert cli("delete", "httproute/web") == 'httproute.gateway.networking.k8s.io "web" deleted\n'
    cli("delete", "httproute", "web", code=NOT_FOUND)
    cli("delete", "httproute", "web", "--ignore-not-found")
    cli("apply", "-f", "-", stdin=service("a") + service("b").replace("name: b,", "name: b, labels: {x: y},"))
    assert "dry run" in cli("delete", "services", "-l", "x=y", "--dry-run")
    assert cli("delete", "services", "-l", "x=y") == 'service "b" deleted\n'
    cli("apply", "-f", shop)
    assert cli("delete", "-f", shop).count("deleted") == 3
    cli("delete", "services", code=USAGE)


# ---- insight ----

def test_explain_tells_the_way_and_every_rule(cli, shop):
    def served():
        done = cli.run("explain", "GET", "http://a.example:8080/x")
        return done.returncode == OK and done.stdout
    out = wait_until("the route to be compiled", served)
    assert out.startswith("forward\n") and "httproute/default/web rule 0 match 0" in out and "taken" in out
    assert json.loads(cli("explain", "http://a.example:8080/x", "-o", "json"))["outcome"] == "forward"
    out = cli("explain", "http://b.example:8080/x", code=DIFFERENT)
    assert out.startswith("no route (404)") and "host: want 'a.example', got 'b.example'" in out
    cli("explain", "http://a.example:1/", code=NOT_FOUND)
    cli("explain", "GET", "http://a.example:8080/", "-H", "nonsense", code=USAGE)


def test_explain_field(cli):
    out = cli("explain-field", "httproute.spec.rules.matches")
    assert "path <object>" in out and "one of GET, HEAD" in out
    assert "name <string>" in cli("explain-field", "gateway.spec", "--all-fields")
    cli("explain-field", "httproute.spec.nonsense", code=NOT_FOUND)
    assert 'no field "spec.nonsense"' in cli.stderr


def test_whoami_doctor_audit(cli, shop):
    assert cli("whoami").endswith(", admin\n")
    out = cli.run("doctor").stdout
    assert "audit log" in out and "whole" in out and "no proxy has joined" in out
    lines = cli("audit", "--limit", 5).splitlines()
    assert lines[0].split()[0] == "ID" and any("the shop" in line for line in lines)
    assert cli("audit", "--verify") == "the audit log is whole\n"
    assert "No nodes have joined" in (cli("nodes"), cli.stderr)[1]


def test_backup_and_restore(control, cli, shop, tmp_path):
    out = cli("backup", "copy.db")
    assert out.startswith(f"{tmp_path}/copy.db: ") and (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    cli("backup", "copy.db", code=REFUSED)
    cli("delete", "httproute/web")
    control.stop()
    cli("doctor", "--data", control.data)
    cli("restore", "copy.db", "--data", control.data)
    cli("restore", "absent.db", "--data", control.data, code=LOCAL)
    control.start()
    assert "web" in cli("get", "httproutes")


# ---- access ----

def remote(control, tmp_path, token):
    return Cli(tmp_path, "--server", f"https://127.0.0.1:{control.port}", "--ca", control.data / "ca.crt", "--token", token)


def test_tokens_are_shown_once_work_and_can_be_revoked(control, cli, shop, tmp_path):
    token = cli("token", "create", "ci", "--role", "viewer", "--ttl", "12h").strip()
    (tmp_path / "token").write_text(token + "\n")
    far = remote(control, tmp_path, f"@{tmp_path}/token")
    assert "web" in far("get", "httproutes") and far("whoami").endswith("viewer\n")
    far("delete", "httproute/web", code=REFUSED)
    far("token", "list", code=REFUSED)
    assert token not in cli("token", "list") and "in 11h" in cli("token", "list")
    assert cli("token", "list", "-o", "name").split() == ["admin", "ci"]
    cli("token", "create", "ci", code=REFUSED)
    cli("token", "revoke", "ci")
    far("get", "httproutes", code=REFUSED)
    assert "token" in far.stderr
    cli("token", "revoke", "ci", code=NOT_FOUND)


def test_join_tokens(cli):
    token = cli("join", "token", "create", "edge-2", "--ttl", "1h", "--uses", 3).strip()
    assert f"--token {token}" in cli.stderr
    line = cli("join", "list").splitlines()[1].split()
    assert line[2] == "edge-2" and line[3] == "3"
    cli("join", "revoke", line[0])
    assert cli("join", "list") == ""
    cli("join", "create", "--node", "edge-3")
    assert "--node edge-3" in cli.stderr and " edge-3 " in cli("join", "list")
    cli("join", "create", "edge-3", "--node", "edge-4", code=USAGE)


def test_kubeconfig_works_for_selvedge_and_kubectl(control, cli, shop, tmp_path):
    path = tmp_path / "config"
    path.write_text(cli("kubeconfig", "--name", "here"))
    path.chmod(0o600)
    far = Cli(tmp_path, "--config", path)
    assert "web" in far("get", "httproutes")
    assert "web" in Cli(tmp_path)("get", "httproutes", "--context", "here", env={"SELVEDGE_CONFIG": str(path)})
    if kubectl_path() is None:
        pytest.skip("kubectl is not installed (package kubernetes-client)")
    done = subprocess.run([kubectl_path(), "--kubeconfig", path, "get", "httproutes"], capture_output=True, text=True, timeout=60)
    assert "web" in done.stdout, done.stderr


def test_a_certificate_of_another_authority_is_not_taken(control, cli, tmp_path):
    far = Cli(tmp_path, "--server", f"https://127.0.0.1:{control.port}", "--token", control.token)
    far("get", "namespaces", code=UNREACHABLE)
    assert "certificate" in far.stderr.lower() and "--ca FILE" in far.stderr
    far("get", "namespaces", "--insecure")


def test_an_object_without_a_name_is_refused_at_its_place(cli, tmp_path):
    (tmp_path / "gen.yaml").write_text(service().replace("name: web,", "generateName: web-,"))
    cli("apply", "-f", "gen.yaml", code=REFUSED)
    assert "gen.yaml:2: Service: metadata.name: Required value" in cli.stderr


def test_a_refused_edit_that_is_given_up_says_why(cli, shop):
    cli("edit", "service/web", code=REFUSED, env={"SELVEDGE_EDITOR": "sed -i 's/port: 80$/port: 99999/'"})
    assert "spec.ports[0].port" in cli.stderr


@pytest.mark.parametrize("args, code, told", [
    (("--ca", "none.crt"), USAGE, "none.crt"), (("--token", "@none"), USAGE, "none"), (("--token", "sv_wrong", "--insecure"), REFUSED, "not valid"),
    (("--insecure",), REFUSED, "--token"), (("--config", "none", "--context", "x"), USAGE, "none")])
def test_what_is_wrong_with_the_way_to_the_api_is_named(control, tmp_path, args, code, told):
    server = () if "--config" in args else ("--server", f"https://127.0.0.1:{control.port}")
    far = Cli(tmp_path, *server, *args)
    far("get", "namespaces", code=code)
    assert told in far.stderr


@pytest.mark.parametrize("args", ["get services", "get services -o yaml", "get services -w", "get services -o json -w", "history", "help", "version", "kubeconfig",
                                  "explain-field httproute", "completion bash", "doctor"])
@pytest.mark.parametrize("sink", ["/dev/full", "closed"])
def test_output_that_cannot_be_written_is_told(control, shop, tmp_path, args, sink):
    redirect = ">&-" if sink == "closed" else "> /dev/full"
    command = f"exec {BIN / 'selvedge'} {args} --socket {control.socket} {redirect}"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=30, env={"HOME": str(tmp_path)})
    assert done.returncode == LOCAL and "cannot write the output" in done.stderr


def test_a_reader_that_leaves_ends_it_quietly(control, shop, tmp_path):
    command = f"{BIN / 'selvedge'} get services --socket {control.socket} | head -1"
    done = subprocess.run(["sh", "-c", command + f"; {BIN / 'selvedge'} get ns --socket {control.socket} 2>&- <&-"], capture_output=True, text=True, timeout=30,
                          env={"HOME": str(tmp_path)})
    assert done.stdout.splitlines()[0].startswith("NAME") and "default" in done.stdout and done.stderr == ""


def test_no_control_process_is_4(tmp_path):
    Cli(tmp_path, "--socket", tmp_path / "none.sock")("get", "gateways", code=UNREACHABLE)
    Cli(tmp_path, "--server", f"https://127.0.0.1:{free_port()}")("get", "gateways", code=UNREACHABLE)


# ---- with a proxy; completion ----

def test_apply_waits_until_the_proxy_runs_it(gateway, echo, tmp_path):
    cli = Cli(tmp_path, "--socket", gateway.socket)
    text = manifests(free_port(), {"web": echo.port}, route())
    wait_until("the proxy to be connected", lambda: cli("nodes").count("\n") == 2)
    assert "is live on 1 node(s)" in cli("apply", "-f", "-", "--wait", stdin=text)
    wait_until("the node's status", lambda: "Synced" in cli("nodes"))
    wait_until("everything to be well", lambda: cli.run("doctor").returncode == OK)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_verbs_kinds_and_options(cli, shell):
    script = cli("completion", shell)
    if shell == "zsh":
        assert "bashcompinit" in script
        return
    def complete(*words):
        text = script + f"\nCOMP_WORDS=(selvedge {' '.join(repr(w) for w in words)}); COMP_CWORD={len(words)}; _selvedge; echo \"${{COMPREPLY[@]}}\"\n"
        return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]}).stdout.split()

    assert "explain-field" in complete("expl")
    assert complete("get", "httpr") == ["httproutes"]
    assert "--prune" in complete("apply", "--pr") and complete("get", "-o", "ya") == ["yaml"]
    assert complete("rollback", "7", "httpr") == complete("rollback", "httpr") == ["httproutes"]


def test_completion_knows_objects(control, cli, shop):
    def complete(*words):
        text = cli("completion", "bash") + f"\nCOMP_WORDS=(selvedge {' '.join(words)}); COMP_CWORD={len(words)}; _selvedge; echo \"${{COMPREPLY[@]}}\"\n"
        env = {"PATH": f"{BIN}:{os.environ['PATH']}", "SELVEDGE_SOCKET": str(control.socket)}
        return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=30, env=env).stdout.split()

    assert complete("get", "httproutes", "w") == ["web"] and complete("edit", "httproute/w") == ["httproute/web"]
    assert complete("get", "-n", "d") == ["default"]
