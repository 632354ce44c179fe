"""Images, tensors and labels of Lesion Lens. Knows nothing of HTTP, forms or the database."""
