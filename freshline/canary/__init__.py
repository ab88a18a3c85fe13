"""The canary: a product of our own sent through the whole path each minute, to see that it leads to shoppers."""
