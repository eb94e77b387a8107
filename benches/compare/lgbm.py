"""Compares lgbm's predict with LightGBM's Python package: the same model, rows and threads, in turns.

python3 -m pip install lightgbm==4.7.0 numpy==2.4.6 scipy==1.17.1
cargo build --release -p benches --example time_lgbm
python3 benches/compare/lgbm.py [--model artifacts/lgbm.txt] [--rows artifacts/lgbm.npy]

A round times several calls of one side, then the same number of the other. The first call of each turn is not counted. The
table has the medians over all rounds. A ratio above 1 means that lgbm is faster.
"""

import argparse
import pathlib
import subprocess
import tempfile
import time

import lightgbm
import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
BATCHES = [2**power for power in range(11)]


class ModelServer:
    """lgbm's predict in a separate process, which is idle between requests."""

    def __init__(self, program, model, rows, threads):
        with tempfile.NamedTemporaryFile() as file:
            rows.astype("<f4").tofile(file)
            file.flush()
            self.process = subprocess.Popen(
                [program, model, file.name, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            self.seconds(1, 1)  # waits until the rows are read

    def seconds(self, batch, calls):
        time.sleep(0.02)  # waits until the package's OpenMP threads stop spinning
        self.process.stdin.write(f"{batch} {calls}\n")
        return [float(word) for word in self.process.stdout.readline().split()]


class Package:
    """The Python package's predict on a float32 array."""

    def __init__(self, model, rows, threads):
        self.booster = lightgbm.Booster(model_file=model)
        self.rows, self.threads = rows, threads

    def seconds(self, batch, calls):
        rows, seconds = self.rows[:batch], []
        for _ in range(calls):
            start = time.perf_counter()
            self.booster.predict(rows, num_threads=self.threads)
            seconds.append(time.perf_counter() - start)
        return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(ROOT / "artifacts/lgbm.txt"))
    parser.add_argument("--rows", default=str(ROOT / "artifacts/lgbm.npy"))
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/time_lgbm"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    rows = np.load(arguments.rows)
    rows = np.tile(rows, (-(-BATCHES[-1] // len(rows)), 1))[: BATCHES[-1]].astype(np.float32)
    print("threads  batch  package, us  lgbm, us  ratio")
    for threads in arguments.threads:
        package = Package(arguments.model, rows, threads)
        server = ModelServer(arguments.program, arguments.model, rows, threads)
        for batch in BATCHES:
            calls = 1 + max(8, 2048 // batch)
            sides = [(package, []), (server, [])]
            for _ in range(arguments.rounds):
                for side, seconds in sides:
                    seconds += side.seconds(batch, calls)[1:]
            package_us, lgbm_us = (1e6 * np.median(seconds) for _, seconds in sides)
            print(f"{threads:7} {batch:6} {package_us:12.0f} {lgbm_us:9.0f} {package_us / lgbm_us:6.2f}", flush=True)


main()
