#!/usr/bin/env python3
"""How fast `diagnose` and `resets` read logs, beside `grep -c` and `wc -l` over the same bytes in the same run.

    python3 benches/logs.py BINARY [--size MB] [--only NAME]

Proxies' logs are made of the recordings under tests/fixtures/logs, repeated with times and ids that go on; applications'
logs are those of a logger. `diagnose` is measured in CPU time on one core, which a busy machine falsifies less than the
clock does; `resets` reads two files on two cores and is measured by the clock, and by the CPU time of a core beside it, which
is what the clock would show on a machine that does nothing else. The ratios tell one machine from another. BINARY is a release
build.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1] / "tests/fixtures/logs/recorded"
TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d):(\d\d):(\d\d)")
MOST_MIB = 64


def lines(*names):
    return [line for name in names for line in (ROOT / name).read_text().splitlines() if line]


def access(name):
    return [line for line in lines(name) if line.startswith("[")]


def repeated(block, wrap=lambda line: line):
    """The block again and again, each time with other connection ids, an hour of seconds at most."""
    turn = 0
    while True:
        clock = f"{turn // 3600 % 24:02}:{turn // 60 % 60:02}:{turn % 60:02}"
        for line in block:
            line = TIME.sub(lambda found: found.group()[:11] + clock, line, count=1)
            line = re.sub(r'"ConnectionId":"(\d+)"', lambda found: f'"ConnectionId":"{int(found.group(1)) + 50 * turn}"', line)
            yield wrap(line) + "\n"
        turn += 1


def app_json(number):
    at = f"2020-07-08T{number // 36000 % 24:02}:{number // 600 % 60:02}:{number // 10 % 60:02}.{number % 10}00Z"
    record = {"@timestamp": at, "level": "INFO", "logger_name": "com.example.shop.checkout.CardGateway",
              "thread_name": f"http-nio-8080-exec-{number % 20}", "service": "checkout", "traceId": f"{number:032x}",
              "message": f"POST https://cc-api.example.io/v1/charges 200 in {number % 90} ms", "customer": number % 1000,
              "tags": ["payment", "card"], "kubernetes": {"pod": "checkout-7d9f8b6c5d-x2x4z", "labels": {"app": "checkout"}}}
    if number % 500 == 0:
        record |= {"level": "ERROR", "stack_trace": "java.net.SocketException: Connection reset\n\tat a.B.c(D.java:1)"}
    return json.dumps(record) + "\n"


def app_text(number, words="order placed for customer"):
    at = f"2020-07-08 {number // 36000 % 24:02}:{number // 600 % 60:02}:{number // 10 % 60:02},{number % 10}00"
    thread = f"http-nio-8080-exec-{number % 20}"
    if number % 500 == 0:
        return (f"{at} ERROR [{thread}] c.e.s.checkout.CardGateway : {words} POST https://cc-api.example.io/v1/charges failed\n"
                "java.net.SocketException: Connection reset\n" + "\tat a.B.c(D.java:1)\n" * 20)
    return f"{at} INFO  [{thread}] c.e.s.checkout.CheckoutService : {words} {number}\n"


def numbered(record, start):
    number = start
    while True:
        yield record(number)
        number += 1


def logs():
    """Name, command, MB/s wanted, a file's records each."""
    debug = [line for line in lines("healthy/healthy_http.1.40.0.text.log") if not line.startswith("[")]
    good = access("healthy/healthy_http.1.40.0.text.log")
    bad = access("connection_refused/refused_http.1.40.0.text.log")
    docker = lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-11-23T18:00:00.1Z"})
    yield "debug log", "diagnose", 300, [lambda: repeated(debug)]
    yield "access log", "diagnose", 200, [lambda: repeated(good)]
    yield "every line a failure", "diagnose", 60, [lambda: repeated(bad)]
    yield "debug log in CRI", "diagnose", None, [lambda: repeated(debug, lambda line: "2026-11-23T18:00:00.000000001Z stdout F " + line)]
    yield "debug log in docker's JSON", "diagnose", None, [lambda: repeated(debug, docker)]
    yield "debug log as JSON", "diagnose", None, [lambda: repeated(lines("healthy/healthy_http.1.40.0.json.log"))]
    japanese = lambda number: app_text(number, "注文を受け付けました お客様番号")
    for name, wanted, record in [("application, JSON", 300, app_json), ("application, text", 300, app_text), ("application, Japanese", 150, japanese)]:
        yield name, "resets", wanted, [lambda record=record, half=half: numbered(record, half * 7 + 1) for half in range(2)]


def write(path, records, bytes_):
    """Writes a block of 8 MiB again and again, without its holding more than that."""
    block = []
    size = 0
    for record in records:
        block.append(record)
        size += len(record)
        if size >= min(bytes_, 8 << 20):
            break
    block = "".join(block).encode()
    with open(path, "wb") as out:
        for _ in range(max(1, bytes_ // len(block))):
            out.write(block)


def apart(work):
    """Does it in a process of its own: what this one had in memory would count as a child's until that begins its program."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("the logs could not be written")


def run(command, pinned, turn):
    """CPU seconds, seconds by the clock, and the most memory in MiB. Cores take turns: what else a machine does may lie on one."""
    if pinned and hasattr(os, "sched_setaffinity"):
        command = ["taskset", "-c", str(turn % os.cpu_count()), *command]
    with tempfile.TemporaryFile() as out:
        # grep stops at the first match where its output is /dev/null.
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        return usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=int, default=4)
    arguments = parser.parse_args()
    print(f"{'':<36}{'MB/s':>8}{'by CPU':>8}{'wanted':>8}{'MiB':>6}{'grep -c':>10}{'wc -l':>10}   (how many times their time)")
    for name, command, wanted, files in logs():
        if arguments.only not in f"{command} {name}":
            continue
        with tempfile.TemporaryDirectory() as directory:
            paths = [pathlib.Path(directory) / f"checkout-{index}.log" for index in range(len(files))]
            apart(lambda: [write(path, file(), (arguments.size << 20) // len(files)) for path, file in zip(paths, files)])
            size = sum(path.stat().st_size for path in paths) / 1e6
            read = [str(path) for path in paths]
            pinned = len(files) == 1
            runs = lambda command: [run(command, pinned, turn) for turn in range(arguments.runs)]
            best = lambda command: min(run[0 if pinned else 1] for run in runs(command))
            grep = best(["grep", "-c", "connect timeout" if pinned else "Connection reset", *read])
            count = best(["wc", "-l", *read])
            what = [arguments.binary, command, "--from", read[0] if pinned else directory, "-o", "json"]
            all_runs = runs(what)
            ours = min(run[0 if pinned else 1] for run in all_runs)
            of_core = min(run[0] for run in all_runs) / len(files)
            memory = max(run[2] for run in all_runs)
            shown = f"{command}, {name}"
            print(f"{shown:<36}{size / ours:>8.0f}{size / of_core:>8.0f}{wanted or '-':>8}{memory:>6.0f}{ours / max(grep, 1e-3):>9.1f}x{ours / max(count, 1e-3):>9.1f}x")
            sys.stdout.flush()
    print(f"Wanted: at most {MOST_MIB} MiB.")


if __name__ == "__main__":
    main()
