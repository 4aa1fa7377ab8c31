"""Opens data sets and says what they hold, and turns files into pictures and masks."""

from stackclip.data.dataset import Dataset, Reader, open_dataset
from stackclip.data.detection import detect_layout
from stackclip.data.images import largest_size, picture_size, read_picture
from stackclip.data.masks import read_mask
from stackclip.data.names import CategoryNames, category_name
from stackclip.types import UNLABELLED

__all__ = [
    "UNLABELLED",
    "CategoryNames",
    "Dataset",
    "Reader",
    "category_name",
    "detect_layout",
    "largest_size",
    "open_dataset",
    "picture_size",
    "read_mask",
    "read_picture",
]
