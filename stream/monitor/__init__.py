"""How late the index is, seen from outside: from Kafka's offsets, commits and record times, whoever is alive."""
