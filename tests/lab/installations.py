#!/usr/bin/env python3
"""Installs Istio in the lab as people do, with the real programs, and judges what `fix` prints for each way: that it is that
installer's, and that what it makes differs from what was there in one line of the mesh configuration.

    installations.py DIR PROGRAM [NAME...]
    RECORD=1 installations.py DIR PROGRAM      keeps the objects that tell in tests/fixtures/installations/lab, for `cargo test`

Each takes the place of the lab's own control plane in istio-system: the chart's ConfigMap is what the running istiod reads.
"""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True  # nothing is to be left in the repository
from kit import DIR, ENV, HERE, WORK, held, in_force, kubectl, lab, need, program, reset, run, until  # noqa: E402

VERSION = "1.31.0"
FOLDER = WORK / "installation"
CHARTS = DIR / "charts"
REPOSITORY = ("127.0.0.14", 18080)
FIXTURES = HERE.parent / "fixtures/installations/lab"
ENV.update({f"HELM_{what}_HOME": f"{DIR}/helm/{what.lower()}" for what in ("CACHE", "CONFIG", "DATA")})
VALUES = """\
global:
  configValidation: false
meshConfig:
  # since the migration
  connectTimeout: 1s
  enableAutoMtls: false
  accessLogFile: /dev/stdout
"""
OVERLAY = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: minimal
  meshConfig:
    connectTimeout: 1s
    enableAutoMtls: false
    accessLogFile: /dev/stdout
  values:
    global:
      configValidation: false
"""
KINDS = ("configmaps,deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,horizontalpodautoscalers,"
         "poddisruptionbudgets,mutatingwebhookconfigurations,validatingwebhookconfigurations,destinationrules,envoyfilters,sidecars,serviceentries")


def sh(command, given=None, check=True, limit=120):
    """A line as somebody would paste it, in a folder that has what they have."""
    done = subprocess.run(["bash", "-c", command], env=ENV, text=True, capture_output=True, input=given, cwd=FOLDER, timeout=limit)
    if check and done.returncode:
        raise RuntimeError(f"{command}: {(done.stdout + done.stderr)[-600:]}")
    return done


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files, without a word on stderr."""

    def log_message(self, *_):
        pass


def charts():
    """Istio's charts as a release has them, in a chart repository of our own that is named as Istio's documentation names it."""
    module = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"], cwd=DIR / "src/istio", env={**ENV, "GOWORK": "off"}, text=True,
                            capture_output=True, check=True).stdout.strip()
    if not (CHARTS / "index.yaml").exists():
        CHARTS.mkdir(exist_ok=True)
        for chart in ("base", "istio-control/istio-discovery", "gateway"):
            sh(f"helm package '{module}/manifests/charts/{chart}' --version {VERSION} --app-version {VERSION} -d '{CHARTS}'")
        sh(f"helm repo index '{CHARTS}'")
    server = http.server.ThreadingHTTPServer(REPOSITORY, functools.partial(Quiet, directory=CHARTS))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sh(f"helm repo add istio http://{REPOSITORY[0]}:{REPOSITORY[1]} --force-update")


def clear(namespace="istio-system"):
    """No control plane's objects in the namespace."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    kubectl("delete", "validatingwebhookconfigurations", "--all", check=False)  # nothing answers for them here
    for release in json.loads(sh("helm list -A -o json").stdout):
        sh(f"helm uninstall {release['name']} -n {release['namespace']}", check=False)
    for kinds, selector in (("all,configmaps,serviceaccounts,roles,rolebindings,hpa,pdb", "app.kubernetes.io/part-of=istio"),
                            ("all,configmaps,serviceaccounts,roles,rolebindings,hpa,pdb", "release=istio"),):
        kubectl("delete", kinds, "-n", namespace, "-l", selector, "--ignore-not-found", check=False)
    kubectl("delete", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations", "-l",
            "app.kubernetes.io/part-of=istio", "--ignore-not-found", check=False)
    for what in ("configmap/istio", "configmap/istio-canary", "deployment/istiod", "deployment/istiod-canary", "service/istiod", "service/istiod-canary"):
        kubectl("delete", what, "-n", namespace, "--ignore-not-found")
    shutil.rmtree(FOLDER)
    FOLDER.mkdir()


def objects():
    """Whatever the API server holds, by kind and name, without what every write changes."""
    found = {}
    for thing in json.loads(kubectl("get", KINDS, "-A", "-o", "json"))["items"]:
        meta = thing["metadata"]
        # istiod's own, which it writes all the time.
        if meta["name"] == "istio-ca-root-cert" or "control-plane.alpha.kubernetes.io/leader" in meta.get("annotations", {}):
            continue
        managers = sorted({(entry["manager"], entry["operation"]) for entry in meta.pop("managedFields", []) if "subresource" not in entry})
        for key in ("resourceVersion", "generation", "uid", "creationTimestamp"):
            meta.pop(key, None)
        thing.pop("status", None)
        found[thing["kind"], meta.get("namespace", ""), meta["name"]] = thing, managers
    return found


def changed(before, after):
    """What differs, one line each. The key `mesh` differs in one line and is told by it."""
    lines = [f"{' '.join(key)} {'is gone' if key in before else 'is new'}" for key in sorted(before.keys() ^ after.keys())]
    for key in sorted(before.keys() & after.keys()):
        (old, managers), (new, managers_after) = before[key], after[key]
        lines += [f"{' '.join(key)}: the field manager {manager} is gone" for manager in managers if manager not in managers_after]
        lines += [f"{' '.join(key)}: {line}" for line in differences(old, new)]
    return lines


def differences(old, new, path=""):
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for name in sorted(old.keys() | new.keys()):
            # What kubectl apply keeps of the last manifest says the same again.
            if name not in ("kubectl.kubernetes.io/last-applied-configuration", "merged-values", "original-values"):
                lines += differences(old.get(name), new.get(name), f"{path}.{name}")
        return lines
    if old == new:
        return []
    if isinstance(old, str) and isinstance(new, str) and "\n" in old and len(old.splitlines()) == len(new.splitlines()):
        return [f"{path}: {a!r} -> {b!r}" for a, b in zip(old.splitlines(), new.splitlines()) if a != b]
    return [f"{path}: {str(old)[:160]} -> {str(new)[:160]}"]


class Installed:
    """One way to install: how it is made, and what is right to be told of it."""

    def __init__(self, make, method, begins=(), never=(), again=None, namespace="istio-system", plane="istiod", revision="default", name="istio"):
        self.make, self.method, self.begins, self.never, self.again = make, method, begins, never, again
        self.namespace, self.plane, self.revision, self.map = namespace, plane, revision, name


def settle(way):
    """Deployments are not run here: one that is awaited gets the status that it would have."""
    kubectl("delete", "validatingwebhookconfigurations", "--all", check=False)  # nothing answers for it
    value = json.loads(json.dumps(in_force(way.plane)))
    until(40, f"{way.plane} to read the installed mesh configuration ({value})", lambda: in_force(way.plane) == "1s")
    proxy = "web" if way.plane == "istiod" else "payments"
    until(40, "the proxies", lambda: held(proxy, "BlackHoleCluster") == "1s")
    kubectl("patch", "deployment", way.plane, "-n", way.namespace, "--subresource=status", "--type=merge", "-p",
            json.dumps({"status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}), check=False)


def install(way):
    clear(way.namespace)
    (FOLDER / "values.yaml").write_text(VALUES)
    (FOLDER / "ORIGINAL.yaml").write_text(OVERLAY)
    way.make()
    settle(way)


def step_of(way):
    plan = program("fix", "-A", "--set", "10s", "-o", "json")
    steps = [step for step in plan.json["steps"] if step["action"] == "mesh" and step["revision"] == way.revision]
    need(len(steps) == 1, f"{len(steps)} steps for revision {way.revision}: {plan.text[-400:]}")
    return steps[0]


def paste(command, note):
    if command.startswith("istioctl "):
        istioctl(command, answer="y\n")
        return True
    done = sh(command, check=False)
    note(f"$ {command}\n  rc {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}")
    return done.returncode == 0


def judge(name, way, note):
    """What is printed, and what each of the ways that are printed makes."""
    problems = []
    install(way)
    step = step_of(way)
    if os.environ.get("RECORD"):
        record(name, way)
    printed = json.dumps(step)
    note(f"{step['install']} by {step['installEvidence']}; commands {step['commands']}; interim {step['interim']}; files "
         f"{[(file['what'], file['name']) for file in step['files']]}; warnings {step['warnings']}")
    if step["install"] != way.method:
        problems.append(f"told as {step['install']}")
    for begin, command in zip(way.begins, step["commands"] + [""] * len(way.begins)):
        if not command.startswith(begin):
            problems.append(f"not {begin!r} but {command[:120]!r}")
    if len(step["commands"]) > len(way.begins):
        problems.append(f"more commands: {step['commands'][len(way.begins):]}")
    problems += [f"it says {word!r}" for word in way.never if word in printed]

    def outcome(what, before):
        lines = changed(before, objects())
        wanted = f"ConfigMap {way.namespace} {way.map}: .data.mesh: "
        note(f"{what}: {lines}")
        if len(lines) != 1 or not lines[0].startswith(wanted) or "10s" not in lines[0]:
            problems.append(f"{what}: {lines[:6]}")
        try:
            until(30, "istiod", lambda: in_force(way.plane) == "10s")
        except RuntimeError:
            problems.append(f"{what}: istiod has {in_force(way.plane)}")
        verify = program("verify", "-A", "--wait", "30s", "--interval", "1s")
        if verify.rc:
            problems.append(f"{what}: verify: rc {verify.rc}: {verify.says()}")

    if step["interim"]:
        before = objects()
        if paste(step["interim"]["command"], note):
            outcome("the quick way", before)
        else:
            problems.append("the quick way fails")
        install(way)
        step = step_of(way)
    before = objects()
    if all([paste(command, note) for command in step["commands"]]):
        for file in step["files"]:
            if file["name"]:
                (FOLDER / f"printed-{file['name']}").write_text(file["content"])
        if way.again:
            way.again()
        outcome("the way itself", before)
    else:
        problems.append("a command fails")
    need(not problems, " | ".join(problems))


def record(name, way):
    """What an audit reads of the objects that installers mark, in the order that the API server gives it."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    wanted = [("deployment", way.plane, way.namespace), ("configmap", way.map, way.namespace)]
    kept = []
    for kind, object_name, namespace in wanted:
        thing = json.loads(kubectl("get", kind, object_name, "-n", namespace, "-o", "json", "--show-managed-fields"))
        thing.pop("status", None)
        for key in ("uid", "creationTimestamp", "generation"):
            thing["metadata"].pop(key, None)
        thing["metadata"].get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
        for entry in thing["metadata"].get("managedFields", []):
            entry.pop("time", None)
            entry.pop("fieldsV1", None)
        if kind == "deployment":
            pod = thing["spec"]["template"]
            pod["spec"] = {"containers": [{key: container[key] for key in ("name", "image", "args", "env") if key in container}
                                          for container in pod["spec"]["containers"]]}
        kept.append(thing)
    (FIXTURES / f"{name}.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": kept}, indent=1) + "\n")


def helm(release, chart="istio/istiod", more=""):
    return lambda: sh(f"helm install {release} {chart} -n istio-system --version {VERSION} -f values.yaml {more}")


def apply_rendered(more=""):
    return lambda: sh(f"helm template istiod istio/istiod -n istio-system --version {VERSION} -f values.yaml {more} | "
                      "kubectl apply -f -")


def beside():
    """A second revision beside the first, which no proxy has yet."""
    helm("istiod")()
    helm("istiod-1-31", more="--set revision=1-31")()


def umbrella():
    chart = FOLDER / "platform"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: platform\nversion: 4.2.0\ndependencies:\n- name: istiod\n  version: {VERSION}\n"
                                      f"  repository: http://{REPOSITORY[0]}:{REPOSITORY[1]}\n")
    (chart / "templates/map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: platform-settings}\ndata: {a: b}\n")
    (FOLDER / "platform.yaml").write_text("istiod:\n" + "".join(f"  {line}\n" for line in VALUES.splitlines()))
    sh("helm dependency update platform && helm install platform ./platform -n istio-system -f platform.yaml")


def kustomized():
    sh(f"helm template istiod istio/istiod -n istio-system --version {VERSION} -f values.yaml > istiod.yaml")
    (FOLDER / "kustomization.yaml").write_text("resources: [istiod.yaml]\nlabels:\n- pairs: {team: platform}\n")
    sh("kubectl apply -k .")


def say_ready(deployment):
    """A ReplicaSet of the Deployment's template, as its controller makes it, with a ready replica."""
    meta, spec = deployment["metadata"], deployment["spec"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"], "controller": True}
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", check=False, given=json.dumps({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": spec["template"]["metadata"]["labels"], "ownerReferences": [owner]},
        "spec": {"replicas": 1, "selector": spec["selector"], "template": spec["template"]}}))
    for kind in ("deployment", "replicaset"):
        status = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1} | ({"updatedReplicas": 1} if kind == "deployment" else {})
        kubectl("patch", kind, meta["name"], "-n", meta["namespace"], "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}), check=False)


def istioctl(command, answer=""):
    """`istioctl install` waits for a Deployment that nothing runs here, so it is said to run."""
    process = subprocess.Popen(["bash", "-c", command], env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=FOLDER,
                               stdin=subprocess.PIPE)
    process.stdin.write(answer)
    process.stdin.close()
    for _ in range(120):
        if process.poll() is not None:
            break
        for deployment in json.loads(kubectl("get", "deployments", "-n", "istio-system", "-l", "app=istiod", "-o", "json"))["items"]:
            say_ready(deployment)
        kubectl("delete", "validatingwebhookconfigurations", "--all", check=False)
        time.sleep(0.5)
    out = process.stdout.read()
    if process.wait():
        raise RuntimeError(f"{command}: {out[-600:]}")
    # What it makes last comes after the last look.
    kubectl("delete", "validatingwebhookconfigurations", "--all", check=False)


def generated():
    sh("istioctl manifest generate -f ORIGINAL.yaml > generated.yaml")
    sh("grep -q 'kind: ConfigMap' generated.yaml && kubectl apply -f generated.yaml")


OTHERS = {"helm": ("istioctl install", "istioctl manifest apply"), "rendered": ("istioctl install", "helm upgrade"), "istioctl": ("helm ",)}
AGAIN = "helm template istiod istio/istiod -n istio-system --version 1.31.0 -f values.yaml -f printed-values.yaml | kubectl apply -f -"
WAYS = {
    "helm": Installed(helm("istiod"), "helm", ("helm list -n istio-system --filter '^istiod$'", "helm upgrade istiod istio/istiod"), OTHERS["helm"]),
    "helm-client-side": Installed(helm("istiod", more="--server-side=false"), "helm",
                                  ("helm list -n istio-system --filter '^istiod$'", "helm upgrade istiod istio/istiod"), OTHERS["helm"]),
    "helm-other-name": Installed(helm("mesh"), "helm", ("helm list -n istio-system --filter '^mesh$'",), ("helm upgrade mesh istio/istiod", "istioctl"),
                                 again=lambda: sh(f"helm upgrade mesh istio/istiod -n istio-system --version {VERSION} --reuse-values --set meshConfig.connectTimeout=10s")),
    "umbrella": Installed(umbrella, "helm", ("helm list -n istio-system --filter '^platform$'",), ("istio/istiod", "istioctl"),
                          again=lambda: sh("helm upgrade platform ./platform -n istio-system --reuse-values -f printed-values.yaml")),
    "template": Installed(apply_rendered(), "rendered", (), OTHERS["rendered"], again=lambda: sh(AGAIN)),
    "template-server-side": Installed(lambda: sh(AGAIN.replace("-f printed-values.yaml ", "") + " --server-side"), "rendered", (), OTHERS["rendered"],
                                      again=lambda: sh(AGAIN + " --server-side")),
    "kustomize": Installed(kustomized, "rendered", (), OTHERS["rendered"],
                           again=lambda: sh(AGAIN.split("|", maxsplit=1)[0] + "> istiod.yaml && kubectl apply -k .")),
    "manifest-generate": Installed(generated, "rendered", (), OTHERS["rendered"],
                                   again=lambda: sh("istioctl manifest generate -f ORIGINAL.yaml -f printed-connect-timeout.yaml | kubectl apply -f -")),
    "revision-beside": Installed(beside, "helm", ("helm list -n istio-system --filter '^istiod$'", "helm upgrade istiod istio/istiod"), OTHERS["helm"]),
    "istioctl": Installed(lambda: istioctl("istioctl install -y -f ORIGINAL.yaml"), "istioctl", ("istioctl install -f ORIGINAL.yaml",), OTHERS["istioctl"]),
}


def check_of(name, way):
    def check(note):
        judge(name, way, note)

    check.__doc__ = f"{name}: the change is that of the installer, and makes one line differ"
    return check


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    charts()
    clear()
    run({name.upper(): check_of(name, way) for name, way in WAYS.items()}, after=clear)
