"""A verdict as lines for a person."""

from __future__ import annotations

from typing import Any


def verdict_lines(facts: dict[str, Any], first: str) -> list[str]:
    """Probabilities of the level `first` a line each, the other levels, sets, reasons, warnings and notes."""
    lines = [f"  {entry['probability']:6.1%}  {_name(entry)}" for entry in facts[first]]
    for level in ("sources", "models", "languages"):
        if level != first:
            shares = ", ".join(f"{_name(one)} {one['probability']:.0%}" for one in facts[level])
            lines.append(f"  {level}: {shares}")
    if facts["n"] > 1:
        lines.append(
            f"  {facts['n']} answers to {facts['propositions']} propositions, worth "
            f"{facts['effective_n']:g} independent ones"
        )
    for level, members in sorted(facts["sets"].items()):
        lines.append(f"  {float(level):.0%} set: {', '.join(_name(one) for one in members)}")
    unknown = facts["none_of_these"]
    if unknown is not None:
        lines.append(f"  none of these: p = {unknown['p']:.3f} (if small, no known source writes like this)")
    elif facts["n"] == 1:
        lines.append("  whether the source is unknown cannot be said of one answer")
    else:
        lines.append("  whether the source is unknown can be said from 10 propositions on")
    needed = facts["more_answers_for_99"]
    if needed:
        lines.append(f"  forecast: {needed} more answers to reach 99 %")
    lines += _reason_lines(facts["reasons"])
    lines += [f"  warning: {said}" for said in facts["warnings"]]
    return [*lines, "  " + "; ".join(facts["notes"])]


def _reason_lines(found: dict[str, Any]) -> list[str]:
    lines = []
    if found["parts"]:
        lines.append(
            "  rests on: " + ", ".join(f"{part} {share:.0%}" for part, share in found["parts"].items())
        )
    if found["phrases"]:
        lines.append(
            "  phrases: " + ", ".join(f"“{_on_one_line(one['phrase'])}”" for one in found["phrases"])
        )
    return lines


def _on_one_line(phrase: str) -> str:
    """A phrase whose line breaks are shown as signs."""
    return phrase.replace("\r", "").replace("\n", "⏎")


def _name(entry: dict[str, Any]) -> str:
    return str(entry["label"]) if "label" in entry else f"{entry['model']}/{entry['language']}"
