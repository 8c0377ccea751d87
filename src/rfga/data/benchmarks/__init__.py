"""The benchmarks of the literature: one file a data set, and the layout that most of them share."""
