"""HDF5, started so that no file can make it load code."""

import os

os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # before HDF5 starts
import h5py

__all__ = ["h5py"]
