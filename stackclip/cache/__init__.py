"""The feature store: what a frozen tower said of each picture, kept once, checked at every read, safe from crashes."""

from stackclip.cache.buffers import Buffers
from stackclip.cache.check import Problem, SourceCheck
from stackclip.cache.extract import Extracted, ExtractOptions, Planned, extract, plan
from stackclip.cache.fingerprint import differences, fingerprint_digest, store_name
from stackclip.cache.prefetch import in_batches, prefetch
from stackclip.cache.preparation import Encoder
from stackclip.cache.reader import decode
from stackclip.cache.shapes import MASK_NEAREST, is_mask, mask_rule, part_bytes, part_shape
from stackclip.cache.sources import Source
from stackclip.cache.store import Store, find_store, stores_in
from stackclip.cache.text import TextCache
from stackclip.cache.writer import Writer

__all__ = [
    "MASK_NEAREST",
    "Buffers",
    "Encoder",
    "ExtractOptions",
    "Extracted",
    "Planned",
    "Problem",
    "Source",
    "SourceCheck",
    "Store",
    "TextCache",
    "Writer",
    "decode",
    "differences",
    "extract",
    "find_store",
    "fingerprint_digest",
    "in_batches",
    "is_mask",
    "mask_rule",
    "part_bytes",
    "part_shape",
    "plan",
    "prefetch",
    "store_name",
    "stores_in",
]
