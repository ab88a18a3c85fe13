"""The read path: a photo in, products out."""
