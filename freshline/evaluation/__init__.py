"""`freshline evaluate`: labelled queries through the real index, and what came of them."""
