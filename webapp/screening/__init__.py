"""The public side: upload, result, deletion."""
