#!/usr/bin/env python3
"""Replay a golden corpus into a server that speaks MLflow's OTLP endpoint.

  replay.py BASE_URL CORPUS_DIR [--case TEXT] [--experiment main=ID --experiment alt=ID] [--no-check] [--skip-rejected] [--skip-needs WORD]
                              [--dialect postgresql]

Unless given, the experiments of the corpus are looked up by name (GET experiments/get-by-name) and created when absent.
Every request file is POSTed with the headers of case.json ($EXP / $ALT replaced).  Statuses are compared with
expected.json, or with expected.<dialect>.json where the case has one; bodies too for statuses < 500 unless
--status-only.  Standard library only.
"""
import argparse
import glob
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request


def http(method, url, body=None, headers=None):
    r = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(r, timeout=120) as f:
            return f.status, f.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def experiment(base, name):
    st, b = http("GET", f"{base}/api/2.0/mlflow/experiments/get-by-name?experiment_name={urllib.parse.quote(name)}")
    if st == 200:
        return json.loads(b)["experiment"]["experiment_id"]
    st, b = http("POST", f"{base}/api/2.0/mlflow/experiments/create", json.dumps({"name": name}).encode(), {"Content-Type": "application/json"})
    return json.loads(b)["experiment_id"]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("base")
    ap.add_argument("corpus")
    ap.add_argument("--case")
    ap.add_argument("--experiment", action="append", default=[])
    ap.add_argument("--status-only", action="store_true")
    ap.add_argument("--no-check", action="store_true")
    ap.add_argument("--skip-rejected", action="store_true", help="leave out requests that MLflow refuses (status >= 400)")
    ap.add_argument("--skip-needs", action="append", default=[], metavar="WORD", help="leave out cases whose case.json needs WORD, e.g. start_trace")
    ap.add_argument("--dialect", default="sqlite", help="whose answers are expected where databases differ: sqlite, postgresql, mysql")
    ap.add_argument("--save-responses", metavar="FILE")
    a = ap.parse_args()
    base = a.base.rstrip("/")
    given = dict(x.split("=", 1) for x in a.experiment)
    ids, bad, n, saved = {}, 0, 0, {}
    for f in sorted(glob.glob(os.path.join(a.corpus, "*", "case.json"))):
        d = os.path.dirname(f)
        if a.case and a.case not in os.path.basename(d):
            continue
        own = os.path.join(d, f"expected.{a.dialect}.json")
        meta, exp = json.load(open(f)), json.load(open(own if os.path.exists(own) else os.path.join(d, "expected.json")))
        if set(meta.get("needs", [])) & set(a.skip_needs):
            continue
        for role, e in exp["experiments"].items():
            if role not in ids:
                ids[role] = given.get(role) or experiment(base, e["name"])
        for k, r in enumerate(meta["requests"]):
            if a.skip_rejected and exp["responses"][k]["status"] >= 400:
                continue
            body = open(os.path.join(d, r["file"]), "rb").read()
            if r.get("substitute"):
                body = body.replace(b"$EXP", ids["main"].encode())
            h = {x: {"$EXP": ids["main"], "$ALT": ids["alt"]}.get(y, y) for x, y in r["headers"].items()}
            st, out = http(r["method"], base + r["path"], body, h)
            n += 1
            saved.setdefault(os.path.basename(d), []).append({"request": k + 1, "status": st, "body": out.decode("utf-8", "replace")})
            if a.no_check:
                continue
            w = exp["responses"][k]
            ok = st == w["status"]
            if ok and not a.status_only and st < 500 and r["path"] == "/v1/traces" and "sqlite3" not in w["body"]:
                ok = out.decode("utf-8", "replace") == w["body"]
            if not ok:
                bad += 1
                print(f"{os.path.basename(d)} request {k + 1}: expected {w['status']} {w['body'][:150]!r} got {st} {out[:150]!r}")
    if a.save_responses:
        json.dump(saved, open(a.save_responses, "w"))
    print(f"{n} requests, {bad} unexpected responses")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
