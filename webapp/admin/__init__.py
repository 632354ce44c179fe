"""The pages for people with an account."""
