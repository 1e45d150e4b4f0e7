"""Writes 200 small programs, as models write them for word problems, to the file named: 25 problems with 8 sets of
numbers each. Programs are separated by a line of dashes. Everything is computed; nothing is random."""

import sys

PROBLEMS = [
    # arithmetic
    "apples = {a}\nbaskets = {b}\nprint(apples * baskets + {c})",
    "price = {a}\ndiscount = {b} / 100\ntotal = price * (1 - discount)\nprint(f'{{total:.2f}}')",
    "def solution():\n    start = {a}\n    for day in range({b}):\n        start = start + {c}\n    return start\n\nprint(solution())",
    "import math\nradius = {a}\nprint(round(math.pi * radius ** 2, 3))",
    "from math import gcd\nprint(gcd({a} * {b}, {b} * {c}), {a} * {b} // gcd({a}, {b}))",
    "hours, minutes = divmod({a} * {b}, 60)\nprint(f'{{hours}} hours and {{minutes}} minutes')",
    "speed = {a}\ntime = {b}\ndistance = speed * time\nprint('The distance is', distance, 'km and the average', distance / ({b} + {c}))",
    # sequences and counting
    "print(sum(x for x in range(1, {a} * 10) if x % {b} == 0 or x % {c} == 0))",
    "fib = [0, 1]\nwhile len(fib) < {a} + 20:\n    fib.append(fib[-1] + fib[-2])\nprint(fib[-1])",
    "from itertools import permutations\nprint(sum(1 for p in permutations(range(5)) if p[0] != {c} % 5 and p[1] < {b}))",
    "from itertools import combinations\nprint(len([c for c in combinations(range({b} + 8), 3) if sum(c) % {a} == 0]))",
    "def is_prime(n):\n    if n < 2:\n        return False\n    i = 2\n    while i * i <= n:\n        if n % i == 0:\n            return False\n        i += 1\n    return True\n\nprint([n for n in range({a} * 20) if is_prime(n)][-5:])",
    "n = {a} ** {b} ** 2 + {c}\nprint(n, len(str(n)), sum(int(d) for d in str(n)))",
    "import math\nprint(math.comb({a} + 10, {b}), math.factorial({b} + 15) % 1000007)",
    # data
    "sales = {{'mon': {a}, 'tue': {b}, 'wed': {c}}}\nbest = max(sales, key=sales.get)\nprint(best, sales[best], sum(sales.values()) / len(sales))",
    "from collections import Counter\nc = Counter(str({a} ** {b} * 7919))\nprint(sorted(c.items(), key=lambda p: (-p[1], p[0]))[:3])",
    "scores = [{a}, {b}, {c}, {a} + {b}]\nscores.sort(reverse=True)\nmean = sum(scores) / len(scores)\nprint(scores, mean, round(sum((s - mean) ** 2 for s in scores) / len(scores), 4))",
    "text = '{a} apples, {b} pears and {c} plums'\nimport re\nprint(sum(int(n) for n in re.findall(r'\\d+', text)))",
    "from functools import reduce\nprint(reduce(lambda x, y: x * y % 10007, range(1, {a} + {b})))",
    "matrix = [[{a}, {b}], [{c}, 1]]\ndet = matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]\nprint(det, [list(r) for r in zip(*matrix)])",
    # equations and numerics
    "import math\na, b, c = 1, -({a} + {b}), {a} * {b}\nd = b * b - 4 * a * c\nprint((-b - math.sqrt(d)) / 2, (-b + math.sqrt(d)) / 2)",
    "lo, hi = 0.0, {a}.0\nfor _ in range(60):\n    mid = (lo + hi) / 2\n    if mid ** 3 > {a}:\n        hi = mid\n    else:\n        lo = mid\nprint(f'{{lo:.10f}}')",
    "def f(n, memo={{}}):\n    if n in memo:\n        return memo[n]\n    memo[n] = n if n < 2 else f(n - 1) + {b} * f(n - 2)\n    return memo[n]\n\nprint(f({a} + 30))",
    "x = {a}\ncount = 0\nwhile x != 1:\n    x = x // 2 if x % 2 == 0 else 3 * x + 1\n    count += 1\nprint('steps:', count)",
    "money = {a}00.0\nyears = 0\nwhile money < {a}00 * 2:\n    money *= 1 + {b} / 100\n    years += 1\nprint(years, '%.2f' % money, {c} / 7)",
]
NUMBERS = [(3, 2, 1), (12, 5, 4), (7, 3, 9), (27, 6, 2), (18, 4, 11), (45, 7, 8), (9, 8, 13), (31, 2, 6)]

with open(sys.argv[1], "w") as file:
    programs = [problem.format(a=a, b=b, c=c) for problem in PROBLEMS for a, b, c in NUMBERS]
    file.write("\n-----\n".join(programs))
