"""The exercises of each chapter: mathematics in ``slug.py``, words in ``slug.toml``."""
