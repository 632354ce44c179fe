"""The JSON API: screenings, models and label sets for other programs, under /api/v1."""
