"""The page that says what a model is, what it was made from, how well it does and what it cannot do."""
