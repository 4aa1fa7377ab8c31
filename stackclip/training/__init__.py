"""One scan teaches many: where features come from and stay, how batches are cut, what of a training is kept."""
