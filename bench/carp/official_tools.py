"""The benchmark's own tool functions on the published tool calls: time per tool, and whether outputs are as published.

    python official_tools.py REPOSITORY TOOL_CALLS [LIMIT]

REPOSITORY is a checkout of RUCAIBox/CARP, TOOL_CALLS the file of calls (one JSON object a line: tool, args, output or error).
"""

import contextlib
import io
import json
import sys
import time

sys.path.insert(0, sys.argv[1])
from src.utils import tool_utils as official  # noqa: E402

names = ["calculate", "solve_eq", "solve_ineq", "solve_multi_eq", "expand", "factor", "partial_solve"]
functions = {name: getattr(official, name) for name in names} | {"substitute": official.subs}
with open(sys.argv[2]) as file:
    calls = [json.loads(line) for line in file]
calls = calls[: int(sys.argv[3]) if len(sys.argv) > 3 else None]

times = {}
same = 0
for call in calls:
    start = time.perf_counter()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            output = functions[call["tool"]](*call["args"])
    except Exception:
        output = None
    times.setdefault(call["tool"], []).append(time.perf_counter() - start)
    same += output == call.get("output")

for tool, durations in sorted(times.items()):
    print(f"{tool:16} mean {1000 * sum(durations) / len(durations):.1f} ms, longest {1000 * max(durations):.0f} ms")
total = sum(map(sum, times.values()))
print(f"{same} of {len(calls)} outputs as published; {total:.1f} s in all, mean {1000 * total / len(calls):.1f} ms")
