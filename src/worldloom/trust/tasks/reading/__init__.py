"""What reads states and pictures for several tasks: linear probes, a small network."""
