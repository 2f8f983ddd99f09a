#!/usr/bin/env python3
"""What people do with the program from beginning to end, beside a real control plane: walks.py DIR PROGRAM [CHECK...]"""

import json
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # nothing is to be left in the repository
from installations import changed, objects  # noqa: E402
from kit import (  # noqa: E402
    ALL, DIR, ENV, HERE, PROGRAM, WORK, about_web, counter, findings, held, kubectl, lab, make, need, program,
    run, set_mesh, start, until,
)

IDLE = 500


def apply(step, note):
    """Pastes what a step says to run, or what it says to run until something writes the object again."""
    for command in step["commands"] or [step["interim"]["command"]]:
        done = subprocess.run(["bash", "-c", command], env=ENV, text=True, capture_output=True, cwd=WORK, timeout=60)
        note(f"$ {command}: rc {done.returncode} {(done.stdout + done.stderr).strip()[-200:]}")
        need(done.returncode == 0, f"{command}: {done.stderr[-300:]}")


def p1(note):
    """A change of a DestinationRule, a Sidecar or an EnvoyFilter that is pasted leaves every other field, label and annotation, and every other object, as it was"""
    kubectl("annotate", "destinationrule", "orders", "-n", "shop", "example.com/note=kept", "--overwrite", "--field-manager=somebody")
    # As `kubectl apply` of a client leaves it, which is what H1 lost fields by.
    kubectl("apply", "-f", "-", given=json.dumps({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "applied", "namespace": "shop", "labels": {"lab": "check", "team": "shop"}, "annotations": {"a": "b"}},
        "spec": {"host": "web.shop.svc.cluster.local", "trafficPolicy": {
            "connectionPool": {"tcp": {"connectTimeout": "700ms", "maxConnections": 7}, "http": {"http1MaxPendingRequests": 5}},
            "loadBalancer": {"simple": "ROUND_ROBIN"}, "outlierDetection": {"consecutive5xxErrors": 4}}}}))
    make("Sidecar", "shop", "orders", {"workloadSelector": {"labels": {"app": "orders"}}, "egress": [{"hosts": ["*/*"]}],
                                       "inboundConnectionPool": {"tcp": {"connectTimeout": "800ms", "maxConnections": 3}}})
    until(30, "the rules", lambda: held("web", "outbound|80||web.shop.svc.cluster.local") == "0.700s" and held("orders", "inbound|8080||") is not None)
    time.sleep(2)
    problems = []
    plan = program("fix", "-A", "--set", "10s", "-o", "json").json
    steps = [step for step in plan["steps"] if step["action"] == "object"]
    note(f"{[(step['kind'], step['name'], [change['part'] for change in step['changes']]) for step in steps]}; {plan['notes']}; {plan['open']}")
    need(len({(step["kind"], step["namespace"], step["name"]) for step in steps}) == len(steps), "two steps for one object")
    need({"orders", "applied", "cards"} <= {step["name"] for step in steps}, f"{[step['name'] for step in steps]}")
    for step in steps:
        before = objects()
        apply(step, note)
        lines = changed(before, objects())
        note(f"{step['kind']} {step['namespace']}/{step['name']}: {lines}")
        wanted = f"{step['kind']} {step['namespace']} {step['name']}: .spec"
        if len(lines) != 1 and step["kind"] != "DestinationRule" or not lines or any(not line.startswith(wanted) for line in lines):
            problems.append(f"{step['kind']} {step['name']}: {lines[:4]}")
    verify = program("verify", "-A", "--wait", "30s", "--interval", "1s")
    need(not problems, " | ".join(problems))
    need(verify.rc == 0, f"verify: {verify.says()}")


def s7(note):
    """A subset that is there twice: the proxy keeps the first, refuses the second, and the rule is named"""
    make("DestinationRule", "shop", "twice", {"host": "web.shop.svc.cluster.local", "subsets": [
        {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": value}}}} for value in ("4s", "5s")]})
    until(30, "the refusal", lambda: counter("web", "cluster_manager.cds.update_rejected") > 0)
    time.sleep(1)
    messages = [f"{finding['message']} {finding['remedy']}" for finding in about_web(program("timeouts", "-A", "-o", "json").json)]
    note(f"web holds {held('web', 'outbound|80|v1|web.shop.svc.cluster.local')}; {messages}")
    need(held("web", "outbound|80|v1|web.shop.svc.cluster.local") == "4s", "Envoy does not keep the first")
    need(any("duplicate cluster" in message and "shop/twice" in message for message in messages), f"{messages}")


def w3(note):
    """Two control planes with one plan: a step for each, pasted, and every proxy has its own plane's value"""
    set_mesh("connectTimeout: 10s", "connectTimeout: 2s", "istio-canary", "istio-canary")
    until(30, "the canary", lambda: held("payments", "BlackHoleCluster") == "2s")
    plan = program("fix", "-A", "--set", "20s", "-o", "json").json
    steps = [step for step in plan["steps"] if step["action"] == "mesh"]
    need(sorted(step["revision"] for step in steps) == ["canary", "default"], f"{[step['revision'] for step in steps]}")
    (WORK / "plan.json").write_text(json.dumps(plan))
    for step in plan["steps"]:
        apply(step, note)
    verify = program("verify", "-A", "--plan", "plan.json", "--wait", "40s", "--interval", "1s")
    note(f"verify: rc {verify.rc} {verify.says(1)}; {held('web', 'BlackHoleCluster')}, {held('payments', 'BlackHoleCluster')}")
    need(verify.rc == 0 and held("web", "BlackHoleCluster") == held("payments", "BlackHoleCluster") == "20s", verify.says())


def w4(note):
    """istiod restarted between a change and its push; then the change rolled back, which a plan's verify calls missing and a mesh's own does not"""
    plan = program("fix", "-A", "--set", "10s", "-o", "json").json
    (WORK / "plan.json").write_text(json.dumps(plan))
    lab("stop istiod KILL")
    for step in plan["steps"]:
        apply(step, note)
    lab("start istiod; wait_for 60 istiod istiod_ready 127.0.2.1")
    verify = program("verify", "-A", "--plan", "plan.json", "--wait", "60s", "--interval", "1s")
    note(f"after the restart: rc {verify.rc} {verify.says(1)}; web {held('web', 'BlackHoleCluster')}")
    need(verify.rc == 0 and held("web", "BlackHoleCluster") == "10s", verify.says())
    set_mesh("connectTimeout: 10s", "connectTimeout: 1s")
    until(30, "the rollback", lambda: held("web", "BlackHoleCluster") == "1s")
    back = program("verify", "-A", "--plan", "plan.json", "--wait", "5s", "--interval", "1s")
    now = program("verify", "-A")
    note(f"rolled back: against the plan rc {back.rc} {back.says(4)}; against the objects rc {now.rc} {now.says(1)}")
    need(back.rc == 1 and now.rc == 0, f"rc {back.rc} and {now.rc}: {back.says()} / {now.says()}")


def w5(note):
    """500 idle clients of istiod beside: timeouts and verify are the same as without, and take no much longer"""
    before, quick = program("timeouts", "-A", "-o", "json"), program("verify", "-A")
    with (WORK / "idle.log").open("w") as log:
        idle = subprocess.Popen([DIR / "bin/idle", "127.0.2.1:15010", str(IDLE)], env=ENV, stdout=log, stderr=log)
    try:
        until(180, "the clients", lambda: len(json.loads(lab("debug istiod syncz") or "[]")) > IDLE)
        size = len(lab("debug istiod syncz"))
        after, verify = program("timeouts", "-A", "-o", "json"), program("verify", "-A")
        note(f"syncz has {size} bytes; timeouts {before.wall:.1f} s, then {after.wall:.1f} s; verify {quick.wall:.1f} s, then {verify.wall:.1f} s: {verify.says(1)}")
        same = [[(row["name"], row["connectTimeout"], row["origin"]) for row in audit.json["clusters"]] for audit in (before, after)]
        need(same[0] == same[1] and verify.rc == 0, f"rows differ: {same[0] != same[1]}; verify {verify.says()}")
        need(not findings(after.json, "MA006"), f"{findings(after.json, 'MA006')}")
        set_mesh("connectTimeout: 1s", "connectTimeout: 10s")
        waited = program("verify", "-A", "--wait", "60s", "--interval", "1s")
        note(f"a change among {IDLE}: {waited.wall:.1f} s, {waited.says(1)}")
        need(waited.rc == 0, waited.says())
    finally:
        idle.kill()
        idle.wait()


# Where a line of the table in docs/istioctl.md cannot be run as it stands.
SHORT = {"--for 5m": "--for 3s", "snapshot DIR": "snapshot table-snapshot"}


def d1(note):
    """Every line of the table in docs/istioctl.md runs, theirs and ours"""
    text = (HERE.parents[1] / "docs/istioctl.md").read_text()
    lines = re.findall(r"^\| `(istioctl [^`]+)` \| (?:`(kubectl meshaudit [^`]+)`)?", text, re.M)
    need(len(lines) >= 10, f"{len(lines)} lines")
    link = WORK / "bin"
    link.mkdir(exist_ok=True)
    plugin = link / "kubectl-meshaudit"
    plugin.unlink(missing_ok=True)
    plugin.symlink_to(PROGRAM)
    problems = []
    for theirs, ours in lines:
        for command in filter(None, (theirs, ours)):
            line = command
            for long, short in SHORT.items():
                line = line.replace(long, short)
            done = subprocess.run(["bash", "-c", f"rm -rf table-snapshot; {line}"], env={**ENV, "PATH": f"{link}:{ENV['PATH']}"}, text=True, capture_output=True,
                                  cwd=WORK, timeout=120)
            note(f"$ {line}: rc {done.returncode}: {(done.stdout or done.stderr).strip()[:300]}")
            # 1 is that something was found: `timeouts` here always, `analyze` where it finds errors; else it is istioctl's error.
            finds = command.startswith("kubectl") or " analyze" in command
            if done.returncode not in ((0, 1) if finds else (0,)) or "unknown" in done.stderr[:300].lower():
                problems.append(f"{line}: rc {done.returncode}: {done.stderr.strip()[-200:]}")
    need(not problems, " | ".join(problems))


def rows(audit):
    """What an audit says of each cluster, without where it comes from: a file has no objects."""
    return sorted((row["name"], row["connectTimeout"]) for row in audit["clusters"])


def owned_pods():
    """Gives each pod the owners that controllers give it, by which `istioctl bug-report` finds its workload."""
    owner = lambda of: [{"apiVersion": "apps/v1", "kind": of["kind"], "name": of["metadata"]["name"], "uid": of["metadata"]["uid"], "controller": True}]
    for proxy in ALL:
        namespace, pod = proxy.split("/")
        deployment = json.loads(kubectl("get", "deployment", pod.removesuffix("-1"), "-n", namespace, "-o", "json"))
        made = kubectl("apply", "--server-side", "--field-manager=check", "-o", "json", "-f", "-", given=json.dumps({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {key: deployment["spec"][key] for key in ("selector", "template")},
            "metadata": {"name": pod.removesuffix("-1"), "namespace": namespace, "labels": {"lab": "check"}, "ownerReferences": owner(deployment)}}))
        kubectl("patch", "pod", pod, "-n", namespace, "--type", "merge", "-p", json.dumps({"metadata": {"ownerReferences": owner(json.loads(made))}}))


def orphaned_pods():
    for proxy in ALL:
        namespace, pod = proxy.split("/")
        kubectl("patch", "pod", pod, "-n", namespace, "--type", "merge", "-p", '{"metadata":{"ownerReferences":null}}')


def d2(note):
    """istioctl's proxy-status, proxy-config all, analyze and bug-report run to their end beside ours, and what they print and leave is read"""
    def istioctl(*args, codes=(0,), limit=240):
        began = time.time()
        done = subprocess.run(["istioctl", *args], env=ENV, text=True, capture_output=True, cwd=WORK, timeout=limit)
        note(f"$ istioctl {' '.join(args)}: rc {done.returncode}, {time.time() - began:.1f} s: {(done.stdout or done.stderr).strip()[:300]}")
        need(done.returncode in codes, f"istioctl {' '.join(args)}: rc {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout

    audit = program("timeouts", "-A", "-o", "json", "--all-clusters", "--no-evidence").json
    ours = sorted({proxy for proxies in audit["proxySets"].values() for proxy in proxies})
    tables = [istioctl("proxy-status", *of, *more) for of in ((), ("-i", "istio-canary", "-r", "canary")) for more in ((), ("-v", "1"))]
    theirs = sorted({f"{name[1]}/{name[0]}" for table in tables for name in re.findall(r"^(\S+-1)\.(\S+)", table, re.M)})
    need(theirs == ours == ALL, f"proxy-status has {theirs}; timeouts has {ours}")
    istioctl("proxy-status", "web-1.shop")
    (WORK / "all.json").write_text(istioctl("proxy-config", "all", "web-1.shop", "-o", "json"))
    istioctl("proxy-config", "all", "web-1.shop")
    live = program("timeouts", "web-1", "-n", "shop", "-o", "json", "--all-clusters", "--no-evidence").json
    read = program("timeouts", "--from", "all.json", "-o", "json", "--all-clusters").json
    need(rows(live) == rows(read), f"proxy-config all: {rows(read)}, live {rows(live)}")
    # 79 is that analyze found errors.
    istioctl("analyze", "-A", codes=(0, 1, 79))
    report = WORK / "bug-report"
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir()
    owned_pods()
    try:
        istioctl("bug-report", "--output-dir", str(report), "--dir", str(report / "made"), "--timeout", "60s")
    finally:
        orphaned_pods()
    archives = list(report.glob("*.tar.gz"))
    need(len(archives) == 1, f"bug-report left {list(report.iterdir())}")
    read = program("timeouts", "--from", str(archives[0]), "-o", "json", "--all-clusters")
    of_report = read.json
    note(f"of the bug report: rc {read.rc}, {of_report['coverage']}")
    need(of_report["coverage"]["audited"] == len(ours) and not of_report["coverage"]["failed"], f"{of_report['coverage']}")
    need(rows(of_report) == rows(audit), f"bug-report: {len(rows(of_report))} rows, live {len(rows(audit))}")


CHECKS = {check.__name__.upper(): check for check in (p1, s7, w3, w4, w5, d1, d2)}

if __name__ == "__main__":
    run(CHECKS)
