"""Times svm beside the scikit-learn pipeline that it was carried over from, on equal threads, in one run.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 threadpoolctl==3.8.0 safetensors==0.8.0 joblib==1.6.0
    cargo build --release -p svm --example timed
    python3 benches/compare/svm.py

Each side is given the same rows in memory, scikit-learn as float64, in which it computes, and predicts them in turns. A turn
is a few calls, of which the first is not counted: a server under load does not find its caches cold. The table has the medians.
Only ratios within one run mean anything: of the time that passed, and of the CPU time that the two processes used (ours with
reading the commands and writing the labels). On a machine that others use as well believe CPU time and one thread: a long
call loses more turns than a short one, and OpenBLAS's threads wait for each other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import KernelPCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "containers/svm"))
import from_sklearn

CLASSES, COMPONENTS = 12, 64


def main():
    parser = argparse.ArgumentParser(description="Times svm beside scikit-learn.")
    parser.add_argument("--points", type=int, nargs="+", default=[360, 5000], help="training points (default 360 5000)")
    parser.add_argument("--features", type=int, default=4096)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 32, 128, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--program", default=ROOT / "target/release/examples/timed", help="our side, built")
    told = parser.parse_args()
    print("| training points | threads | batch | scikit-learn, ms | svm, ms | ratio | of CPU time | equal labels |")
    print("|---|---|---|---|---|---|---|---|")
    for points in told.points:
        with tempfile.TemporaryDirectory() as folder:
            compare(told, points, Path(folder))


def compare(told, points, folder):
    """Prints a row per number of threads and batch size."""
    random = np.random.default_rng(1)
    centres = random.random((CLASSES, told.features))

    def draw(count):
        labels = np.arange(count) % CLASSES
        return (centres[labels] + random.normal(size=(count, told.features))).astype(np.float32), labels

    train, labels = draw(points)
    pca = KernelPCA(COMPONENTS, kernel="rbf", gamma=0.5 / told.features, eigen_solver="randomized", random_state=1)
    pipeline = make_pipeline(pca, SVC(C=10.0)).fit(train.astype(np.float64), labels)
    from_sklearn.save(pipeline, folder / "svm.safetensors")
    inputs, _ = draw(max(told.batches))
    inputs.tofile(folder / "inputs")
    for threads in told.threads:
        command = [told.program, folder / "svm.safetensors", folder / "inputs", str(threads)]
        with (
            threadpool_limits(threads),
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours,
        ):
            for batch in told.batches:
                row = take_turns(pipeline, ours, inputs[:batch].astype(np.float64), told.rounds)
                print(f"| {points} | {threads} | {batch} | {row}", flush=True)


def take_turns(pipeline, ours, inputs, rounds):
    """Medians, their ratios and the share of equal labels, after one round that is not counted."""
    took, calls = [], max(2, 16 // len(inputs))
    for _ in range(rounds + 1):
        expected, theirs, theirs_cpu = turn(calls, os.getpid(), lambda: timed(pipeline.predict, inputs))
        time.sleep(0.1)  # until OpenBLAS's threads have stopped spinning
        labels, mine, mine_cpu = turn(calls, ours.pid, lambda: ask(ours, len(inputs)))
        took.append((theirs, mine, theirs_cpu, mine_cpu))
    equal = np.mean(np.array(labels) == expected.astype(str))
    theirs, mine, theirs_cpu, mine_cpu = np.median(took[1:], axis=0)
    return f"{1e3 * theirs:.2f} | {1e3 * mine:.2f} | {theirs / mine:.1f} | {theirs_cpu / mine_cpu:.1f} | {equal:.1%} |"


def turn(calls, pid, call):
    """The last answer, the median of the seconds, and a call's share of the process's CPU time; the first call does not count."""
    call()
    cpu = cpu_time(pid)
    answers = [call() for _ in range(calls)]
    cpu = cpu_time(pid) - cpu
    return answers[-1][0], np.median([seconds for _, seconds in answers]), cpu / calls


def timed(predict, inputs):
    start = time.perf_counter()
    labels = predict(inputs)
    return labels, time.perf_counter() - start


def ask(ours, size):
    ours.stdin.write(f"{size}\n")
    ours.stdin.flush()
    answer = json.loads(ours.stdout.readline())
    return answer["labels"], answer["seconds"]


def cpu_time(pid):
    """Seconds that the threads of a process have run."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return 1e-9 * sum(int(thread.read_text().split()[0]) for thread in threads)


if __name__ == "__main__":
    main()
