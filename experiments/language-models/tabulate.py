"""Losses of finished trainings as a table and as curves: python3 tabulate.py FOLDER curves.svg NAME...

FOLDER is that of prepare.py; for each NAME there is a run folder with validations.csv.
"""

import csv
import math
import pathlib
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 56, 150, 16, 44
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#16a085", "#7f8c8d", "#2c3e50", "#e84393", "#6d4c41", "#00796b", "#5d4037", "#455a64"]


def validations(folder, name):
    with open(folder / "runs" / name / "validations.csv", newline="") as file:
        return [(int(row["step"]), float(row["loss"]), float(row["accuracy"])) for row in csv.DictReader(file)]


def curves(found):
    steps = max(step for rows in found.values() for step, _, _ in rows)
    losses = [loss for rows in found.values() for _, loss, _ in rows]
    low, high = math.floor(min(losses) * 2) / 2, math.ceil(max(losses) * 2) / 2
    x = lambda step: LEFT + (WIDTH - LEFT - RIGHT) * step / steps
    y = lambda loss: TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>')
    for tick in range(round(2 * low), round(2 * high) + 1):
        parts.append(f'<path d="M{LEFT} {y(tick / 2):.1f}H{WIDTH - RIGHT}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick / 2) + 4:.1f}" text-anchor="end">{tick / 2:g}</text>')
    for tick in range(0, steps + 1, 100 * max(1, steps // 600)):
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">steps of 4,096 tokens</text>')
    parts.append(f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" text-anchor="middle">validation loss</text>')
    # Names stand beside the ends of their curves, pushed apart where they would overlap.
    place = TOP
    for (name, rows), colour in sorted(zip(found.items(), COLOURS), key=lambda item: -item[0][1][-1][1]):
        path = "M" + "L".join(f"{x(step):.1f} {y(loss):.1f}" for step, loss, _ in rows)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        place = max(place + 14, y(rows[-1][1]))
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{place + 4:.1f}" fill="{colour}">{name} {rows[-1][1]:.3f}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def main(folder, picture, *names):
    folder = pathlib.Path(folder)
    found = {name: validations(folder, name) for name in names}
    print("| model | loss | perplexity | right |\n|---|---:|---:|---:|")
    for name, rows in found.items():
        _, loss, accuracy = rows[-1]
        print(f"| {name} | {loss:.4f} | {math.exp(loss):.2f} | {100 * accuracy:.2f} % |")
    pathlib.Path(picture).write_text(curves(found))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
