"""Compares the training steps of hf_sft with the same TRL script without quern, in one run.

    python plugins/hf/bench/step.py [--rounds 3] [--steps 40]

Both train the same model on the same data with the same arguments, in processes of their
own that take turns. Printed are the best time of a step (wall clock and processor), the peak
memory, and their ratios, which are checked against their limits.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent / "tests"), str(HERE.parents[2] / "sdk/python/src")]

LIMITS = {"step": 1.02, "memory": 1.05}
ARGUMENTS = {"batch_size": 8, "learning_rate": 1e-4, "log_steps": 10, "max_length": 256, "gradient_checkpointing": False}


def measured(train) -> dict[str, float]:
    """The time of a step of what a function trains, and the peak memory of this process."""
    import transformers
    from quern_hf.trainer import peak_memory

    loop, times = transformers.Trainer._inner_training_loop, {}

    def timed(self, *args, **kwargs):
        wall, processor = time.perf_counter(), time.process_time()
        out = loop(self, *args, **kwargs)
        steps = self.state.global_step
        times.update(wall=(time.perf_counter() - wall) / steps, processor=(time.process_time() - processor) / steps)
        return out

    transformers.Trainer._inner_training_loop = timed
    train()
    return {**times, "memory": peak_memory()}


def plain(base: pathlib.Path, folder: pathlib.Path, steps: int) -> None:
    """The script without quern."""
    import datasets
    import trl
    from test_data import conversations

    args = trl.SFTConfig(
        str(folder),
        per_device_train_batch_size=ARGUMENTS["batch_size"],
        max_steps=steps,
        learning_rate=ARGUMENTS["learning_rate"],
        logging_steps=ARGUMENTS["log_steps"],
        max_length=ARGUMENTS["max_length"],
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        assistant_only_loss=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    rows = datasets.Dataset.from_list([{"messages": m} for m in conversations(256)])
    trl.SFTTrainer(model=str(base), args=args, train_dataset=rows).train()


def with_quern(base: pathlib.Path, folder: pathlib.Path, steps: int) -> None:
    """The job of hf_sft."""
    from test_data import conversations
    from training import sft_job, train

    train(sft_job(folder, base, conversations(256), steps=steps, **ARGUMENTS))


def child(which: str, base: str, folder: str, steps: int) -> None:
    import torch

    torch.set_num_threads(1)
    train = {"plain": plain, "quern": with_quern}[which]
    figures = measured(lambda: train(pathlib.Path(base), pathlib.Path(folder), steps))
    print("figures " + json.dumps(figures))


def run(which: str, base: pathlib.Path, folder: pathlib.Path, steps: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", which, str(base), str(folder), "--steps", str(steps)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(next(line for line in out.splitlines() if line.startswith("figures ")).removeprefix("figures "))


def model(folder: pathlib.Path) -> pathlib.Path:
    """A Llama of 6 layers of 256, whose template marks what is generated."""
    import transformers
    from conftest import tiny_llama
    from test_data import TEMPLATES

    tiny_llama(folder, template=TEMPLATES["marked"])
    config = transformers.AutoConfig.from_pretrained(folder, hidden_size=256, intermediate_size=688, num_hidden_layers=6, head_dim=64)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child, given.steps)
        return
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        base = model(root / "base")
        for i in range(given.rounds):
            for which in ("plain", "quern"):
                figures = run(which, base, root / f"{which}{i}", given.steps)
                best[which] = {k: min(v, best.get(which, figures)[k]) for k, v in figures.items()}
    ratios = {k: best["quern"][k] / best["plain"][k] for k in best["plain"]}
    print(f"{'':<28}{'TRL':>10}{'hf_sft':>10}{'ratio':>8}")
    for key, name, unit in (
        ("wall", "step, wall clock (ms)", 1e3),
        ("processor", "step, processor (ms)", 1e3),
        ("memory", "peak memory (MB)", 1e-6),
    ):
        print(f"{name:<28}{best['plain'][key] * unit:>10.1f}{best['quern'][key] * unit:>10.1f}{ratios[key]:>8.3f}")
    if ratios["processor"] > LIMITS["step"] or ratios["memory"] > LIMITS["memory"]:
        sys.exit(f"over the limits: a step {LIMITS['step']}, memory {LIMITS['memory']}")


if __name__ == "__main__":
    main()
