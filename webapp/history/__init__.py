"""Finding screenings again: filters, sorts, pages by key, exports, saved views."""
