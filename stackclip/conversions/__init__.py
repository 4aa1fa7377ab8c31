"""Writes what a data set was understood to be in the forms that others read."""

from stackclip.conversions.convert import FORMS, Converted, convert

__all__ = ["FORMS", "Converted", "convert"]
