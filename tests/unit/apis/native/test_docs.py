"""The page of this dialect names every parameter, field and problem."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gesta.apis.native import models, params
from gesta.apis.native.errors import PROBLEMS

PAGE = (Path(__file__).parents[4] / "docs" / "dialects" / "native.md").read_text("utf-8")


def test_problems() -> None:
    for code, (status, _) in PROBLEMS.items():
        assert f"| `{code}` | {status} |" in PAGE


@pytest.mark.parametrize(
    "table", [params.LIST, params.EVENTS, params.STREAM, params.SUMMARY, params.EXPORT, params.FUNDS, params.PUSH]
)
def test_parameters(table: dict[str, params.Param]) -> None:
    for name in table:
        assert f"`{name}`" in PAGE or f"`{name}=" in PAGE or f"?{name}=" in PAGE, name


@pytest.mark.parametrize(
    "model",
    [
        *(models.RowModel, models.FillModel, models.ExecutorModel, models.RunModel),
        *(models.CorrelationModel, models.EventModel, models.TransitionModel),
        *(models.BustModel, models.CorrectModel, models.FundsModel, models.MarketQuoteModel),
        *(models.MarketTradeModel, models.NewExecutorModel, models.StopExecutorModel),
    ],
)
def test_fields(model: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(model):
        assert f"`{field.name}`" in PAGE or f'"{field.name}"' in PAGE, field.name
