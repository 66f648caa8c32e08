"""Near-duplicates of training scans among the tested ones: sentences on them, and the figures without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qfae_monai.evaluation.levels import Level
from qfae_monai.evaluation.run_folder import RunFolder

__all__ = ["duplicate_cautions", "without_duplicates"]


def without_duplicates(run: RunFolder, levels: Sequence[Level]) -> dict[str, Any] | None:
    """AUROC by level without the cases that are near-duplicates of training or validation scans; None without such."""
    tested = {
        case
        for pair in (run.run.get("duplicates") or {"pairs": []})["pairs"]
        for case, section in zip(pair["cases"], pair["sections"], strict=True)
        if section == "test"
    } & set(run.volumes["case"].tolist())
    if not tested:
        return None
    others = {level.name: level.where(~np.isin(level.rows["case"], sorted(tested))) for level in levels}
    return {"cases": sorted(tested), "auroc": {name: level.measures["auroc"] for name, level in others.items()}}


def duplicate_cautions(run: RunFolder, without: dict[str, Any] | None) -> list[str]:
    """Sentences for the report's warnings: what was found, and how the figures are without it."""
    said = (run.run.get("training") or {"warnings": []})["warnings"]  # of the same data list, after its training
    found = [
        f"{sentence}: `run.json` names them."
        for sentence in (run.run.get("duplicates") or {"warnings": []})["warnings"]
        if sentence not in said
    ]
    if without is not None:
        areas = ", ".join(
            f"{name} AUROC " + ("undefined" if np.isnan(area) else f"{area:.3f}")
            for name, area in without["auroc"].items()
        )
        count = len(without["cases"])
        which = "case that is a near-duplicate" if count == 1 else "cases that are near-duplicates"
        found.append(f"Without the {count} {which}: {areas}.")
    return found
