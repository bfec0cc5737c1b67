"""What turns a vector into probabilities of sources: discriminants, their temperature, prediction sets."""
