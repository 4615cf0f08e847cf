"""Makes the tables, the plot and the README's summary from the rows: `python benchmarks/table.py`.

Nothing in them is written by hand; a test compares what is committed with what this makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from featherface.files import write_atomically
from rows import REFERENCE, Accuracy, Run, Speed, read

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
ROWS, TABLES, PLOT = "peers.jsonl", "peers.md", "peers.png"
START, END = "<!-- results:start -->", "<!-- results:end -->"
SHRINK = 2  # times that pictures are made smaller, for a second look at small faces
MAIN = (640, 640)  # height, width of the figures that summary and plot show
COMMAND = "python benchmarks/peers.py"

SUMMARY = """\
{table}
Input 640 × 640, everybody in ONNX Runtime, turn by turn in one run (`{command}`);
in brackets the time as a multiple of {reference}'s. {machine}.
AP: average precision at IoU 0.5 on {labels}, all faces and those
less than 32 pixels high; in brackets, of those when the pictures are shrunk to half first, which
gives {small:,} small faces that were labelled at twice the size.
[How it is measured, and what to make of it](benchmarks/README.md) ·
[all figures](benchmarks/results/peers.md)

![Average precision over time, one column a detector](benchmarks/results/peers.png)
"""

PAGE = """\
# Against other detectors

Made by `{command}` from [the rows](peers.jsonl); [how it is measured](../README.md).

{machine}. {versions}.
{cores} cores, load {load} when the run began; {rounds} rounds of {repeats} runs.

![Average precision over time](peers.png)

## Time

{times}
The share of peak is that of the most that one thread computes here, {peak} GFLOP/s in float32
(`peak.py`); all that the file multiplies is counted, zeros that pad a width too.

## Cost

{costs}
## Accuracy

By the height of the faces in pixels of what the detector sees, in brackets how many there are.
Machines made most labels under 32 px, and YuNet-n was one of them: what it misses is not labelled.
In photographs shrunk to half most small faces were labelled when they were twice as large.

{accuracies}"""

ACCURACY = """\
### {title}

{labels}. {conditions}.

{precision}
AP above that of {reference}, and the 95% interval over photographs (bootstrap):

{gains}
Recall at precision 0.9:

{recall}
The landmark error is the mean distance over the root of the box's area, for the faces found (at
any score) whose landmarks a person has set: {landmarks}.
"""


def publish(results: Path, readme: Path | None) -> None:
    """Makes everything from the rows anew.

    Args:
        results: the folder with the rows; tables and plot go there too.
        readme: the page that gets the summary between its markers, if any.

    Raises:
        OSError: no rows there.
        ValueError: the page does not have the two markers.
    """
    from plot import draw  # here, so that tables can be made without matplotlib

    run = read(results / ROWS)
    write_atomically(results / TABLES, tables(run).encode())
    draw(run, results / PLOT)
    if readme is not None:
        page = replace_block(readme.read_text(encoding="utf-8"), summary(run))
        write_atomically(readme, page.encode())


def replace_block(page: str, block: str) -> str:
    """The page with `block` between the two markers, each of which has a line of its own.

    Raises:
        ValueError: the markers are not there, once each and in this order.
    """
    before, start, rest = page.partition(f"{START}\n")
    _, end, after = rest.partition(END)
    if not (start and end) or page.count(START) + page.count(END) != 2:
        raise ValueError(f"wanted one line {START} in the page, and one line {END} below it")
    return f"{before}{start}{block}{end}{after}"


def summary(run: Run) -> str:
    """The few figures that matter most, for the README."""
    one, two = (main_speeds(run, threads=threads) for threads in (1, 2))
    whole = {each.detector: each for each in run.shrunk()}
    half = {each.detector: each for each in run.shrunk(SHRINK)}
    heading = (
        "detector",
        "parameters",
        "file",
        "GMAC",
        "network, 1 thread",
        "end to end, 1 thread",
        "end to end, 2 threads",
        "AP",
        "AP < 32 px",
    )
    lines = [
        (
            cost.detector,
            f"{cost.parameters:,}",
            f"{cost.file_bytes / 1e3:.0f} KB",
            f"{cost.gmac_640:.3f}",
            _ms(one[cost.detector].forward_ms, one[cost.detector].forward_ratio),
            _ms(one[cost.detector].end_ms, one[cost.detector].end_ratio),
            _ms(two[cost.detector].end_ms, two[cost.detector].end_ratio),
            share(whole[cost.detector].ap["all"]),
            "{} ({})".format(*(share(rows[cost.detector].ap["<32"]) for rows in (whole, half))),
        )
        for cost in run.costs
    ]
    return SUMMARY.format(
        table=markdown(heading, lines),
        command=COMMAND,
        reference=REFERENCE,
        machine=_machine(run),
        labels=_labels(run.shrunk()[0]),
        small=run.shrunk(SHRINK)[0].faces["<32"],
    )


def main_speeds(run: Run, *, threads: int) -> dict[str, Speed]:
    """The times at the size that summary and plot show, by detector."""
    return {
        each.detector: each
        for each in run.speeds
        if (each.height, each.width, each.threads) == (*MAIN, threads)
    }


def tables(run: Run) -> str:
    """All figures, as a page of their own."""
    machine = run.machine
    return PAGE.format(
        command=COMMAND,
        reference=REFERENCE,
        machine=_machine(run),
        versions=f"onnxruntime {machine.onnxruntime}, numpy {machine.numpy}, "
        f"Pillow {machine.pillow}, Python {machine.python}, featherface {machine.featherface}, "
        f"{machine.system}",
        cores=machine.cores,
        load=machine.load,
        rounds=run.speeds[0].rounds,
        repeats=run.speeds[0].repeats,
        times=_speed_table(run),
        peak=f"{machine.peak_gflops:.0f}" if machine.peak_gflops else "–",
        costs=_cost_table(run),
        accuracies="\n".join(
            _accuracy_tables(title, run.shrunk(times))
            for title, times in (("Photographs as they are", 1), ("Shrunk to half", SHRINK))
        ),
    )


def _accuracy_tables(title: str, rows: Sequence[Accuracy]) -> str:
    """AP, what it is above the reference's, and recall, by the height of the faces."""
    first = rows[0]
    bands = [f"{band} ({count:,})" for band, count in first.faces.items()]
    return ACCURACY.format(
        title=title,
        labels=_labels(first),
        conditions="; ".join(f"{each.detector}: {each.conditions}" for each in rows),
        reference=REFERENCE,
        precision=markdown(
            ("AP, faces of height", *bands, "landmark error"),
            [
                (each.detector, *map(share, each.ap.values()), share(each.landmark_error))
                for each in rows
            ],
        ),
        gains=markdown(
            ("detector", *bands),
            [
                (each.detector, *map(_gain, each.ap_gain.values()))
                for each in rows
                if each.detector != REFERENCE
            ],
        ),
        recall=markdown(
            ("detector", *bands),
            [(each.detector, *map(share, each.recall.values())) for each in rows],
        ),
        landmarks=", ".join(f"{each.landmark_faces} by {each.detector}" for each in rows),
    )


def _speed_table(run: Run) -> str:
    heading = (
        "input, threads, detector",
        "network ms",
        "best",
        "ratio",
        "share of peak",
        "end to end ms",
        "best",
        "ratio",
        "of it resizing ms",
    )
    lines = [
        (
            f"{each.width} × {each.height}, {each.threads}, {each.detector}",
            f"{each.forward_ms:.1f}",
            f"{each.forward_best_ms:.1f}",
            f"{each.forward_ratio:.2f}",
            _share_of_peak(run, each),
            f"{each.end_ms:.1f}",
            f"{each.end_best_ms:.1f}",
            f"{each.end_ratio:.2f}",
            f"{each.fit_ms:.1f}",
        )
        for each in run.speeds
    ]
    return markdown(heading, lines)


def _share_of_peak(run: Run, speed: Speed) -> str:
    """Of what one thread computes at best, how much the network did; none is told for two."""
    if speed.threads > 1 or not run.machine.peak_gflops:
        return "–"
    (cost,) = (each for each in run.costs if each.detector == speed.detector)
    gmac = cost.gmac_640 if (speed.height, speed.width) == MAIN else cost.gmac_vga
    return f"{2 * gmac / (speed.forward_ms / 1e3) / run.machine.peak_gflops:.0%}"


def _cost_table(run: Run) -> str:
    heading = (
        "detector",
        "parameters",
        "numbers in the file",
        "file KB",
        "GMAC 640 × 640",
        "GMAC 640 × 480",
        "start to first boxes ms",
        "peak memory MB",
        "install MB",
    )
    lines = [
        (
            f"{cost.detector} (`{cost.file}`)",
            f"{cost.parameters:,}",
            f"{cost.numbers:,}",
            f"{cost.file_bytes / 1e3:.0f}",
            f"{cost.gmac_640:.3f}",
            f"{cost.gmac_vga:.3f}",
            f"{cost.start_ms:.0f}",
            f"{cost.peak_bytes / 1e6:.0f}",
            "–" if cost.install_bytes is None else f"{cost.install_bytes / 1e6:.0f}",
        )
        for cost in run.costs
    ]
    return markdown(heading, lines)


def markdown(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, figures to the right."""
    marks = ["---", *["---:"] * (len(heading) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (heading, marks, *lines))


def _machine(run: Run) -> str:
    return f"{run.machine.processor}, {run.machine.date}"


def _labels(known: Accuracy) -> str:
    return f"{known.pictures} photographs with {known.faces['all']:,} faces (`{known.labels}`)"


def _ms(value: float, ratio: float) -> str:
    return f"{value:.1f} ms (× {ratio:.2f})"


def _gain(values: Sequence[float | None]) -> str:
    """A difference and its interval."""
    gain, low, high = ("–" if value is None else f"{value:+.3f}" for value in values)
    return f"{gain} ({low} to {high})"


def share(value: float | None) -> str:
    """A figure from 0 to 1, or that there is none."""
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    publish(RESULTS, README)
