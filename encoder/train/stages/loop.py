"""The optimisation loop: seeded, resumable after a kill, with a progress bar; in bf16 if that is faster."""

import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from encoder.progress import PLAIN_SECONDS, describe_left
from encoder.train.config import StageConfig
from encoder.train.data.batches import TrainingBatch

HEADS = ("head.", "text_scores.")
console = Console(stderr=True)
LOG_SECONDS = 60.0
"""How often the figures of the run are appended to its file."""


@dataclass(frozen=True)
class StageJob:
    """One stage as the loop sees it."""

    name: str
    model: nn.Module
    stage: StageConfig
    batches: Callable[[random.Random], list[TrainingBatch]]
    """Batches of one epoch, drawn from the given generator alone, so that a resumed epoch has the same batches."""
    loss: Callable[[TrainingBatch], Tensor]
    after_epoch: Callable[[int], str] = lambda epoch: ""


def pick_device() -> torch.device:
    """Use the GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bf16_is_faster(device: torch.device) -> bool:
    """Measure one linear layer in both formats: some processors' bf16 is nine times slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, w = torch.ones(512, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)
        nn.functional.linear(x, w)
        begun = time.perf_counter()
        for _ in range(5):
            nn.functional.linear(x, w)
        seconds[dtype] = time.perf_counter() - begun
    return seconds[torch.bfloat16] < seconds[torch.float32]


def learning_rate(stage: StageConfig, done: float) -> float:
    """Linear warm-up, perhaps a constant part, then linear decay to zero; `done` is the share that is done, 0..1."""
    if done < stage.warmup:
        return stage.lr * done / stage.warmup
    return stage.lr * min(1.0, max(0.0, 1.0 - done) / (stage.decay * (1.0 - stage.warmup)))


def run_stage(job: StageJob, folder: Path, seed: int, save_seconds: float) -> None:
    """Run a stage to its end, from `folder/<name>.state.pt` if a killed run left one.

    The state is replaced atomically, so a kill at any moment loses at most `save_seconds` of work. Figures of the run
    are appended to `folder/<name>.jsonl`.
    """
    device = pick_device()
    job.model.to(device).train()
    wanted = [p for p in job.model.parameters() if p.requires_grad]
    stage = job.stage
    groups = _parameter_groups(job.model, stage)
    optimizer = torch.optim.AdamW(groups, stage.lr, betas=(0.9, 0.98), weight_decay=stage.weight_decay, fused=True)
    state_file = folder / f"{job.name}.state.pt"
    first, begin = _load_state(state_file, job.model, optimizer, device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_faster(device))
    epochs = math.ceil(job.stage.epochs)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(job.name, total=job.stage.epochs, completed=first, shown="")
        saved = printed = logged = begun = time.monotonic()
        average, tokens = 0.0, 0
        for epoch in range(first, epochs):
            prepared = time.monotonic()
            rng = random.Random(f"{seed}-{job.name}-{epoch}")
            batches = job.batches(rng)
            begun += time.monotonic() - prepared  # drawing an epoch is not training
            last = math.ceil(len(batches) * min(1.0, job.stage.epochs - epoch))
            for step in range(begin, last):
                done = (epoch + step / len(batches)) / job.stage.epochs
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(job.stage, done) * group.get("factor", 1.0)
                torch.manual_seed(hash((seed, epoch, step)))  # dropout, the same after a resume
                batch = batches[step].to(device)
                with autocast:
                    loss = job.loss(batch)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(wanted, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                value = loss.item()
                if not math.isfinite(value):
                    raise FloatingPointError(f"{job.name}: the loss is {value} at step {step}; lower `lr`")
                average = value if not average else 0.98 * average + 0.02 * value
                tokens += int(batch.real.sum())
                rate = tokens / (time.monotonic() - begun)
                shown = f"loss {average:.4f} {rate:,.0f} tokens/s"
                progress.update(bar, completed=done * job.stage.epochs, shown=shown)
                if not console.is_terminal and time.monotonic() - printed > PLAIN_SECONDS:
                    left = describe_left(progress.tasks[0])
                    console.print(f"{job.name}: {done:.1%} {shown}{left}", highlight=False)
                    printed = time.monotonic()
                if time.monotonic() - logged > LOG_SECONDS:
                    rate_now = learning_rate(job.stage, done)
                    _log(
                        folder / f"{job.name}.jsonl",
                        epoch=epoch,
                        step=step,
                        done=done,
                        loss=average,
                        lr=rate_now,
                        tokens_per_second=rate,
                    )
                    logged = time.monotonic()
                if time.monotonic() - saved > save_seconds:
                    _save_state(state_file, job.model, optimizer, epoch, step + 1)
                    saved = time.monotonic()
            begin = 0
            job.model.eval()
            note = job.after_epoch(epoch)
            job.model.train()
            console.print(f"{job.name}: epoch {epoch + 1} of {epochs}, loss {average:.4f} {note}", highlight=False)
            _log(folder / f"{job.name}.jsonl", epoch=epoch + 1, loss=average, note=note)
            _save_state(state_file, job.model, optimizer, epoch + 1, 0)
    job.model.eval()


def _parameter_groups(model: nn.Module, stage: StageConfig) -> list[dict[str, object]]:
    """Give the parameters that are trained, the heads apart if they have a learning rate of their own."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    heads = [p for name, p in named if name.startswith(HEADS)]
    if stage.head_lr == 1 or not heads:
        return [{"params": [p for _, p in named], "factor": 1.0}]
    rest = [p for name, p in named if not name.startswith(HEADS)]
    return [{"params": rest, "factor": 1.0}, {"params": heads, "factor": stage.head_lr}]


def _log(path: Path, **figures: object) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode({"time": round(time.time()), **figures}) + b"\n")


def _save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int, step: int) -> None:
    new = path.with_suffix(".new")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch, "step": step}, new)
    os.replace(new, path)


def _load_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[int, int]:
    """Restore a killed run's state; returns the epoch and step to go on from."""
    if not path.exists():
        return 0, 0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    console.print(f"resuming {path.stem} at epoch {state['epoch'] + 1}, step {state['step']}", highlight=False)
    return int(state["epoch"]), int(state["step"])
