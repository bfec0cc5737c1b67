"""What differs between sources and between releases: distances with their floors, change, values, detail."""
