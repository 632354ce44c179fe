"""Which model answers: promotion, rollback, and a challenger that answers in the shadow."""
