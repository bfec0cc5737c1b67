<<<<<<< HEAD
"""What differs between sources and between releases: distances with their floors, change, detail."""
=======
"""What differs between sources, languages and releases, with the noise that a difference must beat."""
>>>>>>> bb21cff (univar profile: which of the 20 Schwartz values each source's answers carry, with ranks, validity and pictures)
