"""Training of the embedded tower `stackclip-tiny` on generated pictures."""
