"""One page about a store: what it holds, and what the other commands find in it."""

from univar.report.html import write_report
from univar.report.sections import Section, sections

__all__ = ["Section", "sections", "write_report"]
