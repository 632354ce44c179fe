"""Long work in a process of its own: training runs, and what a promotion has to compute."""
