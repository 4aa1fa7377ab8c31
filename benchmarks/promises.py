"""Whether verdicts keep their promise: false alarms on good pictures that nobody was shown, over random splits.

    python benchmarks/promises.py NAME=GOOD_FOLDER ... [--method M] [--splits 20] [--rate .05] [--workspace DIR]

Each split draws 60 % of the good pictures of a folder as `--good` and inspects the others. The table has, for each
folder and method, the alarms of all splits, their share, the promise (the largest share that the conformal test allows
with so many good pictures), and the interval in which 99 of 100 such counts lie. Pictures occur in several splits,
so the counts are less independent than the interval takes them for.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from scipy import stats

from stackclip import Session
from stackclip.data.listing import pictures_below


@click.command()
@click.argument("places", nargs=-1, required=True)
@click.option("--method", "methods", multiple=True, default=["patchcore-clip"], show_default=True)
@click.option("--splits", default=20, show_default=True)
@click.option("--rate", default=0.05, show_default=True)
@click.option("--workspace", default="cache/promises", show_default=True)
def main(places: tuple[str, ...], methods: tuple[str, ...], splits: int, rate: float, workspace: str) -> None:
    """Print a row for each folder of good pictures and each method."""
    session = Session(workspace)
    print("| set | method | good | alarms | rate | promise | 99 % interval |\n|---|---|---|---|---|---|---|")
    for place in places:
        name, _, folder = place.partition("=")
        pictures = sorted(path.absolute() for path in pictures_below(Path(folder)))
        for method in methods:
            found = [_alarms(session, name, pictures, method, rate, seed) for seed in range(splits)]
            alarms, tested, promise = sum(each[0] for each in found), sum(each[1] for each in found), found[0][2]
            low, high = (stats.binom.ppf(share, tested, promise) / tested for share in (0.005, 0.995))
            share = f"{alarms / tested:.3f} | {promise:.3f} | {low:.3f} to {high:.3f}"
            print(f"| {name} | {method} | {found[0][3]} | {alarms} of {tested} | {share} |", flush=True)


def _alarms(
    session: Session, name: str, pictures: list[Path], method: str, rate: float, seed: int
) -> tuple[int, int, float, int]:
    """The false alarms of a split, of how many, the promise, and by how many good pictures."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    cut = round(0.6 * len(pictures))
    with TemporaryDirectory() as folder:
        place = Path(folder)
        for part, chosen in (("good", order[:cut]), ("tested", order[cut:])):
            (place / part).mkdir()
            for number in chosen:
                (place / part / f"{number}{pictures[number].suffix}").symlink_to(pictures[number].resolve())
        words = {"object": name, "methods": method, "seeds": (seed,), "false_alarms": rate}
        found = session.inspect(place / "tested", good=place / "good", output=place / "found", **words)
        [record] = [json.loads(path.read_text()) for path in (place / "found").glob("*/run.json")]
    good = record["calibrated_by"]["pictures"]
    promise = np.floor(rate * (good + 1) + 1e-9) / (good + 1)
    return sum(bool(score.anomalous) for score in found), len(found), float(promise), good


if __name__ == "__main__":
    main()
