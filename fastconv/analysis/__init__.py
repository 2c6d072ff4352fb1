"""Floor 6: what a network costs. Everything here is derived from the records of the gate."""

from fastconv.analysis.explain import Explanation, explain
from fastconv.analysis.summary import Row, Summary, summary

__all__ = ["Explanation", "Row", "Summary", "explain", "summary"]
