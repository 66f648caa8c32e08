"""Questions on patients, labels and the sections of the data."""

from __future__ import annotations

from collections.abc import Sequence

from qfae_monai.evaluation.paper.line import Facts, Line, left_to_author, line
from qfae_monai.reading.left_aside import counted

DATA, TRUTH, PARTITIONS = (f"CLAIM 2024, Methods: {part}" for part in ("Data", "Reference Standard", "Data Partitions"))


def cohort_lines(facts: Facts) -> Sequence[Line]:
    """Lines in the order of the guideline."""
    return [
        left_to_author(
            "Where do the data come from, and who was included?",
            DATA,
            "State sites and dates, inclusion and exclusion criteria, ethics approval and consent.",
        ),
        _numbers(facts),
        left_to_author("With which devices and protocols were the scans made?", DATA, "State scanners and sequences."),
        _left_aside(facts),
        _not_scored(facts),
        _labels(facts),
        left_to_author(
            "Who labelled the scans and drew the masks, by which reference standard?",
            TRUTH,
            "State the reference standard, the readers' experience, and how far they agree.",
        ),
        _truth(facts),
        _split(facts),
        _duplicates(facts),
        left_to_author(
            "How was the size of the test set chosen?",
            PARTITIONS,
            f"The test set has {counted(facts.counts['patients'], 'patient')}; state why as many.",
        ),
    ]


def _numbers(facts: Facts) -> Line:
    counts, data = facts.counts, facts.run["data"]
    parts = [f"{counts['normal_cases']} normal", f"{counts['abnormal_cases']} abnormal"]
    if counts["unlabelled_cases"]:
        parts.append(f"{counts['unlabelled_cases']} unlabelled")
    slices = f"; {counted(counts['slices'], 'slice')} scored, {counts['abnormal_slices']} with a lesion"
    return line(
        "How many patients, cases and lesions were tested?",
        "CLAIM 2024, Results: Data",
        f"{data['datalist']}: {counted(counts['cases'], facts.kind)} of {counted(counts['patients'], 'patient')} "
        f"({', '.join(parts)}){slices if facts.kind == 'volume' else ''}; {counted(counts['lesions'], 'lesion')} in "
        f"{counted(counts['cases_with_mask'], 'mask')}.",
        concern=not (counts["normal_cases"] and counts["abnormal_cases"]),
    )


def _left_aside(facts: Facts) -> Line:
    reasons = {name: count for name, count in facts.run["data"].get("left_aside", {}).items() if count}
    listed = "; ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    return line(
        "What was left aside before scoring, and why?",
        DATA,
        f"{counted(sum(reasons.values()), 'file')}: {listed}." if reasons else "Nothing that the data list tells of.",
    )


def _not_scored(facts: Facts) -> Line:
    counts = facts.counts
    unlabelled, unmasked = counts["unlabelled_cases"], counts["cases"] - counts["cases_with_mask"]
    parts = {
        f"{counted(unlabelled, facts.kind)} without a label: in no figure": unlabelled,
        f"{counted(unmasked, facts.kind)} without a usable mask: in no figure of pixels and lesions": unmasked,
        f"{counted(counts['empty'], 'empty slice')} and {counts['outside']} outside the range: not scored, and lesions "
        "there count as missed": facts.kind == "volume" and counts["empty"] + counts["outside"],
    }
    return line(
        "What of the tested scans has no part in the figures?",
        DATA,
        f"{'; '.join(part for part, count in parts.items() if count) or 'Nothing'}.",
        concern=2 * unlabelled > counts["cases"],
    )


def _labels(facts: Facts) -> Line:
    counts = facts.counts
    levels = [name for name, values in facts.summary["metrics"].items() if values["auroc"]["value"] is not None]
    return line(
        "What is the truth, and at which level?",
        TRUTH,
        f"Labels of {counts['normal_cases'] + counts['abnormal_cases']} and masks of {counts['cases_with_mask']} of "
        f"{counted(counts['cases'], facts.kind)}; figures are defined at the level of {_listed(levels)}.",
        concern=not levels,
    )


def _listed(levels: Sequence[str]) -> str:
    return ", ".join(f"{name}s" for name in levels) or "nothing"


def _truth(facts: Facts) -> Line:
    found = facts.contradictions
    return line(
        "Do labels and masks agree?",
        TRUTH,
        f"They contradict each other in {counted(found, 'case')}, which truth.csv names."
        if found
        else "No contradiction was recorded.",
        concern=found,
    )


def _split(facts: Facts) -> Line:
    """By patient, as far as the sections that were compared tell."""
    question = "Are the sections disjoint by patient?"
    folds = f"{facts.run['folds']} folds, each patient tested in one. " if facts.run.get("folds") else ""
    found = facts.run.get("duplicates") or {}
    others = {name: count for name, count in found.get("sections", {}).items() if name != "test" and count}
    if not others:
        answer = f"{folds}The run records no comparison with training scans: state how patients were split."
        return line(question, PARTITIONS, answer, concern=True)
    shared = found.get("shared_patients", 0)
    by_name = counted(shared, "patient") if shared else "no patient"
    listed = " and ".join(f"{count} {name} scans" for name, count in sorted(others.items()))
    return line(
        question,
        PARTITIONS,
        f"{folds}Compared with {listed}: {by_name} of the test set by name among them.",
        concern=shared,
    )


def _duplicates(facts: Facts) -> Line:
    """By pixels, which find a patient of two names."""
    question = "Are copies of training scans among the tested ones?"
    found = facts.run.get("duplicates") or {}
    others = sum(count for name, count in found.get("sections", {}).items() if name != "test")
    copies = facts.summary["duplicates"]
    if copies:
        areas = ", ".join(
            f"{level} {'undefined' if area is None else f'{area:.3f}'}" for level, area in copies["auroc"].items()
        )
        answer = f"{counted(len(copies['cases']), 'near-duplicate')} (correlation above 0.95); AUROC without: {areas}."
        return line(question, PARTITIONS, answer, concern=True)
    if not others:
        answer = "The run records no comparison with the pictures of training scans."
        return line(question, PARTITIONS, answer, concern=True)
    return line(question, PARTITIONS, f"None above a correlation of 0.95 with any of {counted(others, 'scan')}.")
