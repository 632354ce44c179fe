"""What people say about screenings: rules, writing, bulk actions, undo, and the training set made of it."""
