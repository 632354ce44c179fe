"""Demonstration data: a believable history of drawn pictures, labelled as such and removable."""
