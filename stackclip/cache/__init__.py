"""The feature store: what a frozen tower said of each picture, kept once, checked at every read, safe from crashes."""

from stackclip.cache.extract import Encoder, Plan, Report, extract, plan
from stackclip.cache.fingerprint import differences, fingerprint_digest, folder_name
from stackclip.cache.shapes import MASK_NEAREST, mask_rule, part_bytes, part_shape
from stackclip.cache.sources import Source
from stackclip.cache.store import Problem, Store, find_store, stores_in
from stackclip.cache.text import TextMemory
from stackclip.cache.writer import Writer

__all__ = [
    "MASK_NEAREST",
    "Encoder",
    "Plan",
    "Problem",
    "Report",
    "Source",
    "Store",
    "TextMemory",
    "Writer",
    "differences",
    "extract",
    "find_store",
    "fingerprint_digest",
    "folder_name",
    "mask_rule",
    "part_bytes",
    "part_shape",
    "plan",
    "stores_in",
]
