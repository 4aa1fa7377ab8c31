"""Writes what a data set was understood to be in the forms that others read."""

from stackclip.conversions.convert import CONVERSIONS, Converted, convert

__all__ = ["CONVERSIONS", "Converted", "convert"]
