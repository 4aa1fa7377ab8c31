"""The whole product from Python in four calls: encode, bench, inspect, report."""

from stackclip.clip.recipe import LiveTraining, TowerRecipe
from stackclip.ops.progress import Listener
from stackclip.session.conditions import Conditions, SuiteWords
from stackclip.session.pictures import Inspection, PictureScore
from stackclip.session.rows import BenchRows, distinct
from stackclip.session.session import Session
from stackclip.session.transferring import Transferred
from stackclip.session.work import Encoded, Forecast

__all__ = [
    "BenchRows",
    "Conditions",
    "Encoded",
    "Forecast",
    "Inspection",
    "Listener",
    "LiveTraining",
    "PictureScore",
    "Session",
    "SuiteWords",
    "TowerRecipe",
    "Transferred",
    "distinct",
]
