#!/usr/bin/env python3
"""timeline.py FILE CPUS CATEGORY...: is it a timeline that a trace viewer shows? JSON in Chrome's trace
event format; on every thread events are in order and spans follow or enclose each other; there are
events of all these categories, and on all CPUs. Prints how many there are."""
import collections
import json
import sys

path, cpus, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
with open(path, encoding="ascii") as f:
    events = json.load(f)["traceEvents"]
names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
if names != {n: f"vCPU {n}" for n in range(cpus)}:
    sys.exit(f"threads are {names}")
seen = collections.Counter()
begin = collections.defaultdict(float)
ends = collections.defaultdict(list)
for e in events:
    if e["ph"] == "M":
        continue
    tid, ts = e["tid"], e["ts"]
    if e["ph"] not in "Xi" or tid not in names or not e["name"]:
        sys.exit(f"what is {e}")
    if ts < begin[tid]:
        sys.exit(f"goes back from {begin[tid]}: {e}")
    begin[tid] = ts
    while ends[tid] and ends[tid][-1] <= ts + 0.0015:
        ends[tid].pop()
    if e["ph"] == "X":
        if e["dur"] < 0 or (ends[tid] and ts + e["dur"] > ends[tid][-1] + 0.0015):
            sys.exit(f"neither within nor after the one before: {e}")
        ends[tid].append(ts + e["dur"])
    seen[e["cat"], tid] += 1
for category in wanted:
    if not any(seen[category, tid] for tid in names):
        sys.exit(f"nothing of '{category}'")
for tid in names:
    if not any(n for (_, t), n in seen.items() if t == tid):
        sys.exit(f"nothing on CPU {tid}")
print(dict(seen))
