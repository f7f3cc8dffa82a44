"""Nothing here is a test: pytest is to import none of it, not even to look for doctests."""

collect_ignore_glob = ["*"]
