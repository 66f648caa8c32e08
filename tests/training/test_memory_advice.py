"""Out of memory names the setting to change; other errors come through as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine

from qfae_monai.training import OutOfMemoryAdvice

CPU = torch.device("cpu")
ASKED = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 3221225472 bytes. Error code 12"


def run(error: Exception, **settings: Any) -> None:
    def fail(engine: Engine, batch: Any) -> None:
        raise error

    engine = Engine(fail)
    OutOfMemoryAdvice(settings, CPU).attach(engine)
    engine.run([0])


# [settings, what the message says, what it does not say]
TEST_CASES: list[list[Any]] = [
    [
        {"accumulation_steps": 1, "checkpointing": "none"},
        "3.00 GiB more.*accumulation_steps.*now 1.*checkpointing",
        "!",
    ],
    [{"accumulation_steps": 2, "checkpointing": "full"}, r"accumulation_steps.*\(now 2\)", "checkpointing"],
    [{"forward_batch": 16, "precision": "bfloat16"}, r"lower forward_batch.*\(now 16\)", "precision"],
    [{"forward_batch": 1, "precision": "float16"}, "smaller preset or a larger device", "forward_batch"],
]


@pytest.mark.parametrize(("settings", "said", "unsaid"), TEST_CASES)
def test_advice(settings: dict[str, Any], said: str, unsaid: str) -> None:
    with pytest.raises(MemoryError, match=said) as found:
        run(RuntimeError(ASKED), **settings)
    assert unsaid not in str(found.value)
    assert isinstance(found.value.__cause__, RuntimeError)


def test_other_errors_stay() -> None:
    with pytest.raises(ValueError, match="expected a scan"):
        run(ValueError("expected a scan"), accumulation_steps=1)


def test_the_cpu_allocators_own_words_are_known() -> None:
    with pytest.raises(RuntimeError) as found:
        torch.empty(2**55, dtype=torch.uint8)
    with pytest.raises(MemoryError, match=r"33554432\.00 GiB"):
        run(found.value, forward_batch=2)


def test_unknown_setting_is_refused() -> None:
    with pytest.raises(ValueError, match=r"among .* got \['batch'\]"):
        OutOfMemoryAdvice({"batch": 1}, CPU)
