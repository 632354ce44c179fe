"""From RGB pixels to the array a network takes: one transform for serving, one for training."""
