"""The page for shoppers: files as the browser gets them, and the routes that serve them."""
