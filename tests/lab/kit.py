"""What the lab's checks share: the lab in DIR, the program, and how a check is run. Both are the first two arguments of
whatever imports this: NAME.py DIR PROGRAM [CHECK...]"""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is to be left in the repository
import mesh  # noqa: E402

HERE = Path(__file__).resolve().parent
DIR, PROGRAM = (Path(path).resolve() for path in sys.argv[1:3])
WORK = DIR / "checks"
ENV = {**os.environ, "KUBECONFIG": f"{DIR}/kube/admin.kubeconfig", "PATH": f"{DIR}/bin:{os.environ['PATH']}", "NO_COLOR": "1"}
for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
    ENV.pop(name, None)
ALL = sorted(f"{namespace}/{name}-1" for name, (namespace, *_) in mesh.PROXIES.items())
CANARY = ["pay/ledger-1", "pay/payments-1"]
LABEL = "lab=check"
MADE = "destinationrules,envoyfilters,sidecars,serviceentries,pods,configmaps,replicasets"


class Wrong(Exception):
    """What was seen is not right."""


class Log(list):
    def __call__(self, text):
        self.append(text)


def lab(script, check=True, timeout=240):
    """Runs functions of lib.sh."""
    done = subprocess.run(["bash", "-c", f'HERE="{HERE}" DIR="{DIR}"; . "$HERE/lib.sh"; up() {{ "$HERE/up.sh" "$DIR"; }}; {script}'], env=ENV, text=True,
                          capture_output=True, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def kubectl(*args, given=None, check=True):
    done = subprocess.run(["kubectl", *args], env=ENV, text=True, capture_output=True, input=given, timeout=60, cwd=WORK)
    if check and done.returncode:
        raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr}")
    return done.stdout


class Ran:
    def __init__(self, rc, out, err, wall):
        self.rc, self.out, self.err, self.wall = rc, out, err, wall

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def text(self):
        return self.out + self.err

    def says(self, lines=3):
        """The end of what it said, for a message."""
        return " / ".join((self.text.strip() or "nothing").splitlines()[-lines:])[-400:]


def program(*args, user="admin", limit=150):
    began = time.time()
    process = start(*args, user=user)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        err += f"\n[ended by the lab after {limit} s]"
    return Ran(process.returncode, out, err, time.time() - began)


def start(*args, user="admin"):
    env = {**ENV, "KUBECONFIG": f"{DIR}/kube/{user}.kubeconfig"}
    return subprocess.Popen([PROGRAM, *args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=WORK)


def on_terminal(*args, limit=90):
    """Runs on a terminal of 100 columns; gives the time of the end, and what was drawn when, as (seconds, text)."""
    began, drawn = time.time(), []
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(WORK)
        os.execve(PROGRAM, [str(PROGRAM), *args], {**ENV, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"})
    while time.time() - began < limit:
        ready, _, _ = select.select([terminal], [], [], 0.5)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            drawn.append((time.time() - began, data.decode(errors="replace")))
    else:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return time.time() - began, drawn


def until(seconds, what, condition, pause=0.25):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise RuntimeError(f"the lab: gave up waiting for {what}")
        time.sleep(pause)


def held(proxy, cluster):
    return lab(f"held {proxy} '{cluster}'", check=False)


def in_force(plane):
    return json.loads(lab(f"debug {plane} mesh") or "{}").get("connectTimeout")


def counter(proxy, name):
    return int(lab(f"admin {proxy} '/stats?filter=^{name}$'").split(": ")[-1] or 0)


def syncz(plane, pod):
    return next((proxy for proxy in json.loads(lab(f"debug {plane} syncz") or "[]") if proxy["proxy"] == pod), {})


def config_map(name="istio", namespace="istio-system"):
    return json.loads(kubectl("get", "configmap", name, "-n", namespace, "-o", "json"))


def set_mesh(old, new, name="istio", namespace="istio-system"):
    """Changes a line of the mesh configuration, as somebody with an editor would."""
    text = config_map(name, namespace)["data"]["mesh"]
    if old not in text:
        raise RuntimeError(f"the lab: no {old!r} in the mesh configuration")
    kubectl("patch", "configmap", name, "-n", namespace, "--type", "merge", "-p",
            json.dumps({"data": {"mesh": text.replace(old, new)}}))


def make(kind, namespace, name, spec, labels=None, api="networking.istio.io/v1"):
    thing = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": {"lab": "check", **(labels or {})}}, "spec": spec}
    if namespace:
        thing["metadata"]["namespace"] = namespace
    kubectl("apply", "--server-side", "--field-manager=check", "-f", "-", given=json.dumps(thing))


# Envoy refuses the response as a whole where a field breaks the API's own rules, and takes all but the one cluster where
# it is the cluster that cannot be made. Both are a NACK of the whole for istiod, and neither stands in a dump.
REFUSED = {
    "the response as a whole": {"common_lb_config": {"healthy_panic_threshold": {"value": 200}}},
    "one cluster of it": {"type": "ORIGINAL_DST"},
}


def reject_clusters_of_web(how):
    """An EnvoyFilter that istiod takes and Envoy refuses; it has nothing to do with timeouts."""
    before = counter("web", "cluster_manager.cds.update_rejected")
    make("EnvoyFilter", "shop", "invalid", {
        "workloadSelector": {"labels": {"app": "web"}},
        "configPatches": [{"applyTo": "CLUSTER",
                           "match": {"context": "SIDECAR_OUTBOUND", "cluster": {"service": "orders.shop.svc.cluster.local"}},
                           "patch": {"operation": "MERGE", "value": REFUSED[how]}}]}, api="networking.istio.io/v1alpha3")
    until(30, "Envoy's refusal", lambda: counter("web", "cluster_manager.cds.update_rejected") > before)


def settled():
    return (in_force("istiod") == "1s" and in_force("istiod-canary") == "10s" and held("web", "BlackHoleCluster") == "1s"
            and held("orders", "outbound|80||orders.shop.svc.cluster.local") == "0.500s"
            and held("gateway", "outbound|80||web.shop.svc.cluster.local") == "3s"
            and held("payments", "BlackHoleCluster") == "10s" and held("ledger", "inbound|5432||") == "4s"
            and held("web", "outbound|443||api.example.com") == "1s" and held("payments", "outbound|443||api.example.com") == "10s"
            and held("web", "InboundPassthroughCluster") == "1s"
            and held("web", "outbound|443||cards.example.com") == "1s")


def reset():
    """The mesh as up.sh makes it."""
    for name in ("istiod", "istiod-canary", "node-a", "node-b"):
        lab(f"alive {name} && thaw {name}", check=False)
    lab("alive kube-apiserver || up", check=False)
    kubectl("delete", MADE, "-A", "-l", LABEL, "--grace-period=0", "--force", "--ignore-not-found", "--timeout=20s", check=False)
    lab("up")
    until(120, "a settled mesh", settled)


def commands_for(path, text):
    """How a file of `fix -o yaml` is used: by the commands that its comments name, else by kubectl apply."""
    path.write_text(text)
    named = re.findall(rf"^#\s*(kubectl .*{re.escape(path.name)}.*)$", text, re.M)
    return named or [f"kubectl apply -f {path.name}"]


def findings(audit, code):
    return [finding for finding in audit["findings"] if finding["code"] == code]


def about_web(audit):
    return [finding for finding in audit["findings"] if finding["code"] == "MA006" and "shop/web-1" in finding["proxies"]]


def need(right, message):
    if not right:
        raise Wrong(message)


def run(checks, after=lambda: None):
    """Runs the checks that the command line names, or all, each from a mesh put back, and ends the process. `after` is what
    each is followed by."""
    wanted = [name.upper() for name in sys.argv[3:]] or list(checks)
    WORK.mkdir(exist_ok=True)
    counts = {"PASS": 0, "FAIL": 0, "LAB": 0}
    for name in wanted:
        check, note, began = checks[name], Log(), time.time()
        try:
            reset()
            began = time.time()
            check(note)
            outcome, why = "PASS", ""
        except Wrong as seen:
            outcome, why = "FAIL", str(seen)
        except Exception as error:  # the lab's own trouble is no verdict on the program
            outcome, why = "LAB", f"{type(error).__name__}: {error}"
        finally:
            after()
        counts[outcome] += 1
        print(f"{outcome} {name} {check.__doc__} ({time.time() - began:.0f} s)", flush=True)
        if why:
            print(f"     seen: {why}", flush=True)
        (WORK / f"{name}.log").write_text("\n".join([f"{outcome} {name} {check.__doc__}", why, *note, ""]))
    try:
        reset()
    except RuntimeError as error:
        print(f"     the lab could not be put back: {error}")
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed" + (f", {counts['LAB']} not judged" if counts["LAB"] else "") + f"; what was seen: {WORK}/*.log")
    sys.exit(1 if counts["FAIL"] or counts["LAB"] else 0)

