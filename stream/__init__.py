"""The write path: from a catalogue event on Kafka to a settled offset."""
