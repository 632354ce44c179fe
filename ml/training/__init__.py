"""The parts of one training run: configuration, warm start, optimisation, checkpoints, and the making of a bundle."""
