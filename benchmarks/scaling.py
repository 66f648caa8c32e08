"""Training in one process and in several, each with a core of its own: `python benchmarks/scaling.py`.

Each measurement is a torchrun job of the bundle's network, loss and optimiser under `distributed.yaml` (gloo), each
process pinned to one core with one thread, on a batch of noise; the exchange of gradients is in the time, data loading
is not. The batch of a process stays the same, so the images of a step grow with the processes. One process and several
take turns, `--rounds` times, and a ratio is of one round. Cores that other work shares make the ratio smaller; the
processor time of an image (of rank 0, its exchange of gradients included, waiting not) they hardly touch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from networks import PRESETS


def work(preset: str, steps: int, output: Path) -> None:
    """One process of the job: measured steps after one of warm-up; rank 0 writes the seconds of one."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[int(os.environ["LOCAL_RANK"])]})
    import torch  # noqa: PLC0415 (threads are counted when it is imported)

    from qfae_monai.model.bundle import Bundle  # noqa: PLC0415

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    bundle = Bundle(["train", "distributed"], {**PRESETS[preset], "precision": "float32"})
    network, loss, optimizer = (bundle.part(key) for key in ("network", "loss", "optimizer"))
    size = int(bundle.part("model")["image_size"])
    image = torch.randn(int(bundle.part("batch_size")), 1, size, size)
    for number in range(steps + 1):
        if number == 1:
            torch.distributed.barrier()
            start, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        loss(network(image), image).backward()
        optimizer.step()
    torch.distributed.barrier()
    seconds, cpu = (time.perf_counter() - start) / steps, (time.process_time() - cpu) / steps
    if torch.distributed.get_rank() == 0:
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
        output.write_text(
            json.dumps({"seconds": seconds, "cpu_s": cpu, "batch_size": len(image), "parameters": trained})
        )
    torch.distributed.destroy_process_group()


def job(preset: str, steps: int, processes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        output = Path(name) / "rank0.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}",
                   __file__, "--preset", preset, "--steps", str(steps), "--work", str(output)]  # fmt: skip
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        found = json.loads(output.read_text())
    images_per_s = processes * found["batch_size"] / found["seconds"]
    return {**found, "images_per_s": images_per_s, "cpu_s_per_image": found["cpu_s"] / found["batch_size"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="tiny")
    parser.add_argument("--processes", type=int, default=2, help="compared with one; at most the cores there are")
    parser.add_argument("--steps", type=int, default=20, help="measured of each job, after one of warm-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the same numbers")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)  # how this command calls itself
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.preset, arguments.steps, arguments.work)
        return
    cores = len(os.sched_getaffinity(0))
    if not 1 < arguments.processes <= cores:
        raise SystemExit(f"expected 2 to {cores} processes on {cores} cores, got {arguments.processes}")
    rounds = []
    for number in range(arguments.rounds):
        order = (1, arguments.processes) if number % 2 else (arguments.processes, 1)
        rounds.append({count: job(arguments.preset, arguments.steps, count) for count in order})
    ratio = statistics.median(r[arguments.processes]["images_per_s"] / r[1]["images_per_s"] for r in rounds)
    size = rounds[0][1]["parameters"] * 4 / 1e6
    print(f"{arguments.preset}, {rounds[0][1]['batch_size']} images a process, {size:.0f} MB of gradients, float32; "
          f"{cores} cores, load {os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print("| processes, a core each | images/s | times one process | CPU time of an image (ms) |\n|---|---|---|---|")
    rows = []
    for count, times in ((1, 1.0), (arguments.processes, ratio)):
        rate = statistics.median(r[count]["images_per_s"] for r in rounds)
        cpu_s = statistics.median(r[count]["cpu_s_per_image"] for r in rounds)
        rows.append({"processes": count, "images_per_s": rate, "times_one": times, "cpu_s_per_image": cpu_s})
        print(f"| {count} | {rate:.2f} | {times:.2f} | {1000 * cpu_s:.1f} |")
    if arguments.json:
        settings = {"preset": arguments.preset, "steps": arguments.steps, "rounds": arguments.rounds}
        arguments.json.write_text(json.dumps({"settings": settings, "rows": rows, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
