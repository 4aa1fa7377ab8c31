"""Ways through the image tower, one file each: which parts it gives, their shapes, how it runs and whose it is.

The shelf `taps` finds them by the names of parts, for all that read a store too: importing them brings no torch.
"""
