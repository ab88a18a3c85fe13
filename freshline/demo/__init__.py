"""The demo: a small shop with real parts, from its catalogue to a shopper's photo of it."""
