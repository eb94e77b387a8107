"""Compares ONNX Runtime's options on a network with the options of the model servers, in turns.

python3 -m pip install onnxruntime==1.31.1 numpy==2.4.6
python3 benches/compare/engine_options.py [--network inception] [--batch 8] [--threads 2] [--rounds 7]

Each round calls every session once. The table has the median time of each, the median ratio to the baseline's time in the same
round (below 1 is faster), and the largest difference from the baseline's output, relative to the largest value.
"""

import argparse
import pathlib
import statistics
import time

import numpy as np
import onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDES = {"vgg": 224, "inception": 299}
LEVELS = ort.GraphOptimizationLevel


def options(threads, level=LEVELS.ORT_ENABLE_ALL, spinning="0", pattern=True, arena=True, parallel=False, **entries):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 2 if parallel else 1
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL if parallel else ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = level
    options.enable_mem_pattern = pattern
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    for key, value in entries.items():
        options.add_session_config_entry(key.replace("__", "."), value)
    return options


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=SIDES, default="inception")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    variants = {
        "model server (baseline)": options(arguments.threads),
        "spinning": options(arguments.threads, spinning="1"),
        "one thread": options(1),
        "one more thread": options(arguments.threads + 1),
        "no graph optimisation": options(arguments.threads, LEVELS.ORT_DISABLE_ALL),
        "basic graph optimisation": options(arguments.threads, LEVELS.ORT_ENABLE_BASIC),
        "extended graph optimisation (no NCHWc layout)": options(arguments.threads, LEVELS.ORT_ENABLE_EXTENDED),
        "no memory pattern": options(arguments.threads, pattern=False),
        "no memory arena": options(arguments.threads, arena=False),
        "parallel branches": options(arguments.threads, parallel=True),
        "dynamic block size": options(arguments.threads, session__dynamic_block_base="4"),
        "denormals set to zero": options(arguments.threads, session__set_denormal_as_zero="1"),
    }
    path = str(ROOT / "artifacts" / f"{arguments.network}.onnx")
    sessions = {name: ort.InferenceSession(path, o, ["CPUExecutionProvider"]) for name, o in variants.items()}
    side = SIDES[arguments.network]
    images = np.random.default_rng(1).normal(size=(arguments.batch, 3, side, side)).astype(np.float32)
    seconds = {name: [] for name in variants}
    outputs = {name: session.run(None, {"images": images})[0] for name, session in sessions.items()}
    for _ in range(arguments.rounds):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, {"images": images})
            seconds[name].append(time.perf_counter() - start)
    base = outputs["model server (baseline)"]
    print(f"{arguments.network}, batch {arguments.batch}, {arguments.threads} threads, {arguments.rounds} rounds\n")
    print("| options | median, ms | ratio | output difference |\n|---|---|---|---|")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds["model server (baseline)"]))
        off = np.abs(outputs[name] - base).max() / np.abs(base).max()
        print(f"| {name} | {1e3 * statistics.median(times):.0f} | {ratio:.2f} | {off:.0e} |")


main()
