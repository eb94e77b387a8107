"""Compares svm with the scikit-learn pipeline that it was converted from, on equal threads, in one run.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 threadpoolctl==3.8.0 safetensors==0.8.0 joblib==1.6.0
    cargo build --release -p svm --example timed
    python3 benches/compare/svm.py

Both sides predict the same rows in memory, in turns; scikit-learn gets them as float64, in which it computes. A turn is a few
calls. The first is not counted, because a server under load has warm caches. The table has the medians.
Only ratios within one run are meaningful: of wall time, and of the CPU time of the two processes (svm's includes reading
commands and writing labels). On a shared machine, rely on CPU time and one thread: long calls are preempted more often than
short ones, and OpenBLAS's threads wait for each other.
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
    parser = argparse.ArgumentParser(description="Compares svm with scikit-learn.")
    parser.add_argument("--points", type=int, nargs="+", default=[360, 5000], help="training points (default 360 5000)")
    parser.add_argument("--features", type=int, default=4096)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 32, 128, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--program", default=ROOT / "target/release/examples/timed", help="svm's program, built with --release")
    arguments = parser.parse_args()
    print("| training points | threads | batch | scikit-learn, ms | svm, ms | ratio | ratio of CPU time | equal labels |")
    print("|---|---|---|---|---|---|---|---|")
    for points in arguments.points:
        with tempfile.TemporaryDirectory() as folder:
            compare(arguments, points, Path(folder))


def compare(arguments, points, folder):
    """Prints a row per number of threads and batch size."""
    random = np.random.default_rng(1)
    centres = random.random((CLASSES, arguments.features))

    def draw(count):
        labels = np.arange(count) % CLASSES
        return (centres[labels] + random.normal(size=(count, arguments.features))).astype(np.float32), labels

    train, labels = draw(points)
    pca = KernelPCA(COMPONENTS, kernel="rbf", gamma=0.5 / arguments.features, eigen_solver="randomized", random_state=1)
    pipeline = make_pipeline(pca, SVC(C=10.0)).fit(train.astype(np.float64), labels)
    from_sklearn.save(pipeline, folder / "svm.safetensors")
    inputs, _ = draw(max(arguments.batches))
    inputs.tofile(folder / "inputs")
    for threads in arguments.threads:
        command = [arguments.program, folder / "svm.safetensors", folder / "inputs", str(threads)]
        with (
            threadpool_limits(threads),
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        ):
            for batch in arguments.batches:
                row = take_turns(pipeline, server, inputs[:batch].astype(np.float64), arguments.rounds)
                print(f"| {points} | {threads} | {batch} | {row}", flush=True)


def take_turns(pipeline, server, inputs, rounds):
    """Returns a row: medians, their ratios and the share of equal labels, after one uncounted round."""
    results, calls = [], max(2, 16 // len(inputs))
    for _ in range(rounds + 1):
        expected, sklearn_seconds, sklearn_cpu = turn(calls, os.getpid(), lambda: timed(pipeline.predict, inputs))
        time.sleep(0.1)  # waits until OpenBLAS's threads stop spinning
        labels, svm_seconds, svm_cpu = turn(calls, server.pid, lambda: predict_svm(server, len(inputs)))
        results.append((sklearn_seconds, svm_seconds, sklearn_cpu, svm_cpu))
    equal = np.mean(np.array(labels) == expected.astype(str))
    sklearn_seconds, svm_seconds, sklearn_cpu, svm_cpu = np.median(results[1:], axis=0)
    times = f"{1e3 * sklearn_seconds:.2f} | {1e3 * svm_seconds:.2f}"
    ratios = f"{sklearn_seconds / svm_seconds:.1f} | {sklearn_cpu / svm_cpu:.1f}"
    return f"{times} | {ratios} | {equal:.1%} |"


def turn(calls, pid, call):
    """Returns the last labels, the median seconds of a call, and the CPU seconds per call; the first call is not counted."""
    call()
    cpu = cpu_time(pid)
    answers = [call() for _ in range(calls)]
    cpu = cpu_time(pid) - cpu
    return answers[-1][0], np.median([seconds for _, seconds in answers]), cpu / calls


def timed(predict, inputs):
    start = time.perf_counter()
    labels = predict(inputs)
    return labels, time.perf_counter() - start


def predict_svm(server, size):
    server.stdin.write(f"{size}\n")
    server.stdin.flush()
    answer = json.loads(server.stdout.readline())
    return answer["labels"], answer["seconds"]


def cpu_time(pid):
    """Returns the CPU seconds of a process, over all its threads."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return 1e-9 * sum(int(thread.read_text().split()[0]) for thread in threads)


if __name__ == "__main__":
    main()
