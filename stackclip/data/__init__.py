"""Turns folders of pictures into samples, and files into pictures and masks."""

from stackclip.data.dataset import Dataset, Reader, open_dataset
from stackclip.data.detection import detect_layout
from stackclip.data.folder import UNLABELLED
from stackclip.data.images import picture_size, read_picture
from stackclip.data.masks import read_mask
from stackclip.data.names import CategoryNames, category_name

__all__ = [
    "UNLABELLED",
    "CategoryNames",
    "Dataset",
    "Reader",
    "category_name",
    "detect_layout",
    "open_dataset",
    "picture_size",
    "read_mask",
    "read_picture",
]
