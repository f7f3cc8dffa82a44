"""The criterion of ML and REML as a function of the variances, and its global minimum."""
