#!/usr/bin/env python3
"""record.py DIR [STATE...]: brings the lab in DIR into each state that a proxy's clusters can be in, and keeps what istiod
and the proxy shop/web-1 answer there in tests/fixtures/istiod/STATE/: syncz.json (this proxy's entry), mesh.json, stats.txt,
dynamic.json, warming.json and static.json. `cargo test` reads them. Run it again after a change of Istio's or Envoy's version."""

import json
import re
import sys
import time
from pathlib import Path
from urllib.parse import quote

STATES = sys.argv[2:]
sys.argv = [sys.argv[0], sys.argv[1], "/bin/false"]
sys.dont_write_bytecode = True
import kit as lab  # noqa: E402

SOURCE = Path(__file__).resolve().parents[2]
OUT = SOURCE / "tests/fixtures/istiod"
WHOLE, ONE = lab.REFUSED


def constant(file, name):
    """A string constant of the program's own, so that what is asked here is what it asks."""
    text = (SOURCE / file).read_text()
    found = re.search(rf'const {name}: &str =\s*r?"((?:[^"\\]|\\\n|\\.)*)"', text)
    return re.sub(r"\\\n\s*", "", found.group(1))


def refused(how):
    lab.reject_clusters_of_web(how)
    lab.set_mesh("connectTimeout: 1s", "connectTimeout: 10s")
    lab.until(30, "the others", lambda: lab.held("orders", "BlackHoleCluster") == "10s")


def restart():
    lab.lab("stop web; start web; wait_for 20 admin admin web /server_info")
    time.sleep(3)


def away():
    lab.lab("stop istiod KILL")
    lab.until(20, "the proxies", lambda: lab.counter("web", "control_plane.connected_state") == 0)


def mended():
    refused(ONE)
    lab.kubectl("delete", "envoyfilter", "invalid", "-n", "shop")
    lab.until(30, "the ACK", lambda: lab.held("web", "BlackHoleCluster") == "10s" and "lastError" not in json.dumps(lab.syncz("istiod", "web-1.shop")))


MAKE = {
    "healthy": lambda: None,
    "response-refused": lambda: refused(WHOLE),
    "clusters-refused": lambda: refused(ONE),
    "response-refused-restarted": lambda: (refused(WHOLE), restart()),
    "clusters-refused-restarted": lambda: (refused(ONE), restart()),
    "mended": mended,
    "istiod-away": away,
    "istiod-away-restarted": lambda: (away(), restart()),
}


def record(state):
    lab.reset()
    MAKE[state]()
    time.sleep(2)
    folder = OUT / state
    folder.mkdir(parents=True, exist_ok=True)
    if lab.lab("alive istiod && echo yes", check=False) == "yes":
        known = lab.syncz("istiod", "web-1.shop")
        (folder / "mesh.json").write_text(lab.lab("debug istiod mesh") + "\n")
        (folder / "syncz.json").write_text(json.dumps([known] if known else [], indent=1) + "\n")
    stats = quote(constant("src/decode/xds_stats.rs", "FILTER"), safe="")
    (folder / "stats.txt").write_text(lab.lab(f"admin web '/stats?filter={stats}'") + "\n")
    audit, static = (constant("src/reach/request.rs", name) for name in ("AUDIT_MASK", "STATIC_MASK"))
    for name, section, mask in (("dynamic", "dynamic_active_clusters", audit), ("warming", "dynamic_warming_clusters", audit),
                                ("static", "static_clusters", static)):
        (folder / f"{name}.json").write_text(lab.lab(f"admin web '/config_dump?resource={section}&mask={mask}'") + "\n")
    print(f"{state}: {folder}", flush=True)


lab.WORK.mkdir(exist_ok=True)
for state in STATES or MAKE:
    record(state)
lab.reset()
