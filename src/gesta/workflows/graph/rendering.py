"""Filling templates in, deciding conditions, asking JSONata: what `expressions.py` names, carried out."""

from __future__ import annotations

from gesta.workflows.graph.conditions import check_condition, holds
from gesta.workflows.graph.queries import check_query, query
from gesta.workflows.graph.templates import check, references, render

__all__ = ["check", "check_condition", "check_query", "holds", "query", "references", "render"]
