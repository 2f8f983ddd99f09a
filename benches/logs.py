#!/usr/bin/env python3
"""How fast `diagnose` reads logs, beside `grep -c` and `wc -l` over the same file in the same run.

    python3 benches/logs.py BINARY [--size MB] [--only NAME]

The logs are made of the recordings under tests/fixtures/logs, repeated with times and ids that go on. What counts is CPU time
on one core, which a busy machine falsifies less than the clock does; the ratios tell one machine from another. BINARY is a
release build.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1] / "tests/fixtures/logs/recorded"
TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d):(\d\d):(\d\d)")


def lines(*names):
    return [line for name in names for line in (ROOT / name).read_text().splitlines() if line]


def access(name):
    return [line for line in lines(name) if line.startswith("[")]


def repeated(block, megabytes, wrap=lambda line: line):
    """The block again and again, each time with other connection ids, an hour of seconds at most."""
    out, size, turn = [], 0, 0
    while size < megabytes << 20:
        clock = f"{turn // 3600 % 24:02}:{turn // 60 % 60:02}:{turn % 60:02}"
        for line in block:
            line = TIME.sub(lambda found: found.group()[:11] + clock, line, count=1)
            line = re.sub(r'"ConnectionId":"(\d+)"', lambda found: f'"ConnectionId":"{int(found.group(1)) + 50 * turn}"', line)
            line = wrap(line)
            out.append(line)
            size += len(line) + 1
        turn += 1
    return "\n".join(out) + "\n"


def logs(megabytes):
    debug = [line for line in lines("healthy/healthy_http.1.40.0.text.log") if not line.startswith("[")]
    good = access("healthy/healthy_http.1.40.0.text.log")
    bad = access("connection_refused/refused_http.1.40.0.text.log")
    yield "debug log", 300, repeated(debug, megabytes)
    yield "access log", 200, repeated(good, megabytes)
    yield "every line a failure", 60, repeated(bad, megabytes)
    yield "debug log in CRI", None, repeated(debug, megabytes, lambda line: "2026-11-23T18:00:00.000000001Z stdout F " + line)
    yield "debug log in docker's JSON", None, repeated(
        debug, megabytes, lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-11-23T18:00:00.1Z"}))
    yield "debug log as JSON", None, repeated(lines("healthy/healthy_http.1.40.0.json.log"), megabytes)


def run(command):
    """CPU seconds and the most memory in MiB, on one core."""
    pinned = ["taskset", "-c", "0", *command] if hasattr(os, "sched_setaffinity") else command
    process = subprocess.Popen(pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    print(f"{'log':<28}{'MB/s':>8}{'wanted':>8}{'MiB':>6}{'grep -c':>10}{'wc -l':>10}   (how many times their CPU time)")
    with tempfile.TemporaryDirectory() as directory:
        for name, wanted, text in logs(arguments.size):
            if arguments.only not in name:
                continue
            path = pathlib.Path(directory) / "log"
            path.write_text(text)
            size = path.stat().st_size / 1e6
            del text
            run(["wc", "-l", str(path)])
            ours, memory = min(run([arguments.binary, "diagnose", "--from", str(path), "-o", "json"]) for _ in range(3))
            grep = min(run(["grep", "-c", "connect timeout", str(path)])[0] for _ in range(3))
            count = min(run(["wc", "-l", str(path)])[0] for _ in range(3))
            print(f"{name:<28}{size / ours:>8.0f}{wanted or '-':>8}{memory:>6.0f}{ours / max(grep, 1e-3):>9.1f}x{ours / max(count, 1e-3):>9.1f}x")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
