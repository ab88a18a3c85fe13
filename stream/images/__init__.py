"""Fetching a product's pictures from hosts that may be slow, ill or hostile."""
