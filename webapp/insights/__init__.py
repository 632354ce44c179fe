"""Figures over time: daily counts, charts with control limits, alerts."""
