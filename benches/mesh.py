#!/usr/bin/env python3
"""Audits canned meshes of several sizes, beside a shell loop of kubectl port-forward, curl and jq over the same pods.

    cargo build --release --workspace
    python3 benches/mesh.py 8x2000 100x2000 500x2000 [--loop 100]

Prints, for each size, wall time, CPU time and peak memory of `timeouts -A`, and the loop's wall time. The loop is run
over at most `--loop` pods and its time is given for each pod. Needs kubectl, curl and jq on PATH (KUBECTL names one).
"""
import json, os, resource, socket, subprocess, sys, time
from pathlib import Path

RELEASE = Path(__file__).resolve().parent.parent / "target" / "release"
KUBECTL = os.environ.get("KUBECTL", "kubectl")


def measured(command, env):
    """Wall seconds, CPU seconds and peak MiB of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    del before
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def loop(env, most):
    """Seconds for each pod of what people do by hand."""
    pods = json.loads(subprocess.check_output([KUBECTL, "get", "pods", "-A", "-o", "json"], env=env))["items"][:most]
    start = time.monotonic()
    for pod in pods:
        meta, port = pod["metadata"], free_port()
        script = (
            f"{KUBECTL} port-forward -n {meta['namespace']} {meta['name']} {port}:15000 >/dev/null & p=$!; "
            f"curl -s --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 20 127.0.0.1:{port}/config_dump "
            "| jq -r '.configs[].dynamic_active_clusters[]?.cluster | [.name, .connect_timeout] | @tsv' >/dev/null; "
            "kill $p; wait $p 2>/dev/null"
        )
        subprocess.run(["bash", "-c", script], env=env, check=False)
    return (time.monotonic() - start) / len(pods), len(pods)


def main():
    arguments = sys.argv[1:]
    most = 100
    if "--loop" in arguments:
        at = arguments.index("--loop")
        most = int(arguments[at + 1])
        del arguments[at : at + 2]
    print("| proxies x clusters | wall | CPU | peak memory | loop, each pod | loop, all pods | ratio |")
    print("|---|---|---|---|---|---|---|")
    for size in arguments:
        sandbox = subprocess.Popen(
            [RELEASE / "meshaudit-demo", "--canned", size, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = sandbox.stdout.readline()
        env = dict(os.environ, KUBECONFIG=line.split("=", 1)[1].strip())
        plugin = [RELEASE / "kubectl-meshaudit", "timeouts", "-A", "-o", "json", "--exit-zero", "--no-evidence"]
        best = min(measured(plugin, env) for _ in range(3))
        each, count = loop(env, most)
        pods = int(size.split("x")[0])
        print(
            f"| {size} | {best[0]:.2f} s | {best[1]:.2f} s | {best[2]:.0f} MiB | {each:.2f} s | "
            f"{each * pods:.0f} s{'' if count == pods else ' (from ' + str(count) + ' pods)'} | {each * pods / best[0]:.0f} |",
            flush=True,
        )
        sandbox.stdin.close()
        sandbox.wait()


main()
