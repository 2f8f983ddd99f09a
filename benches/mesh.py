#!/usr/bin/env python3
"""Audits canned meshes of several sizes beside a bare client: kube and hyper, 32 tunnels at once, the same requests,
the bytes thrown away. What is said is the ratio of the two in one run.

    cargo build --release --workspace --bins --example bare_client
    python3 benches/mesh.py 100x2000 1000x2000 [--counters] [--latency 20] [--runs 5] [--loop 40] [--profile release]
    python3 benches/mesh.py 10000x2000 --latency 20 --busy 10

For each size: wall time of `timeouts -A -o json` and of the bare client, the ratio, CPU time and peak memory of ours;
with `--counters` the time with connection counters, too, and its ratio to the time without; with `--latency` so many
milliseconds pass before each answer of a proxy; with `--busy N` the API server refuses the first tunnel to every Nth pod
with 429 (one run, without the bare client, which does not ask again; it fails unless all are read); with `--loop` the time for each pod of a shell loop of kubectl
port-forward, curl and jq over at most so many pods. The loop needs kubectl, curl and jq on PATH (KUBECTL names one).
The runs take turns, and of each the best counts.
"""
import argparse, json, os, socket, statistics, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KUBECTL = os.environ.get("KUBECTL", "kubectl")


def measured(command, env):
    """Wall seconds, CPU seconds and peak MiB of one command."""
    start = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
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
    return (time.monotonic() - start) / len(pods)


def sandbox_of(built, size, asked):
    """A canned mesh, and the environment in which it is the cluster."""
    command = [built / "meshaudit-demo", "--canned", size, "--latency", asked.latency, "--serve"]
    command[3:3] = ["--busy", asked.busy] if asked.busy else []
    sandbox = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return sandbox, dict(os.environ, KUBECONFIG=sandbox.stdout.readline().split("=", 1)[1].strip())


def busy(asked, built, audit):
    print("| proxies x clusters | wall | CPU | peak memory |\n|---|---|---|---|", flush=True)
    for size in asked.sizes:
        sandbox, env = sandbox_of(built, size, asked)
        wall, cpu, peak = measured(audit, env)
        print(f"| {size} | {wall:.2f} s | {cpu:.2f} s | {peak:.0f} MiB |", flush=True)
        sandbox.stdin.close()
        sandbox.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", metavar="PROXIESxCLUSTERS")
    parser.add_argument("--counters", action="store_true")
    parser.add_argument("--latency", default="0")
    parser.add_argument("--busy", default="")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--loop", type=int, default=0)
    parser.add_argument("--profile", default="release")
    asked = parser.parse_args()
    built = ROOT / "target" / asked.profile
    audit = [built / "kubectl-meshaudit", "timeouts", "-A", "-o", "json", "--exit-zero"]
    commands = {"ours": [*audit, "--no-evidence"], "bare": [built / "examples" / "bare_client"]}
    if asked.counters:
        commands["counters"] = audit
    if asked.busy:
        return busy(asked, built, commands["ours"])
    columns = ["proxies x clusters", "wall", "bare", "ratio", "CPU", "peak memory"]
    columns += ["with counters", "ratio"] if asked.counters else []
    columns += ["loop, each pod", "ratio"] if asked.loop else []
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)
    for size in asked.sizes:
        sandbox, env = sandbox_of(built, size, asked)
        runs = {name: [] for name in commands}
        # The first one of each puts the sandbox's answers into words.
        for name in [*commands, *list(commands) * asked.runs]:
            runs[name].append(measured(commands[name], env))
        best = {name: min(times[1:]) for name, times in runs.items()}
        spread = statistics.median(ours[0] / bare[0] for ours, bare in zip(runs["ours"][1:], runs["bare"][1:]))
        wall, cpu, peak = best["ours"]
        row = [size, f"{wall:.2f} s", f"{best['bare'][0]:.2f} s", f"{wall / best['bare'][0]:.2f}, median {spread:.2f}"]
        row += [f"{cpu:.2f} s", f"{max(run[2] for run in runs['ours']):.0f} MiB"]
        if asked.counters:
            row += [f"{best['counters'][0]:.2f} s", f"{best['counters'][0] / wall:.2f}"]
        if asked.loop:
            each = loop(env, asked.loop)
            row += [f"{each:.2f} s", f"{each * int(size.split('x')[0]) / wall:.0f}"]
        print("| " + " | ".join(row) + " |", flush=True)
        sandbox.stdin.close()
        sandbox.wait()


main()
