"""How the shipped model is made: a drawn catalogue, a small tower, a bundle."""
