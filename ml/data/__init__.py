"""Reading image collections, splitting them by lesion, and feeding them to training."""
