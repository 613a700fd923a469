"""nasgtn: neural architecture search whose proxy trains on data that a trained generator made."""

__version__ = "0.1.0"
