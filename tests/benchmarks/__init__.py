"""`make bench`: how fast measuring, the store and the pages are, against the limits that the project set itself.

Not collected by pytest: a test never times anything. `python -m tests.benchmarks NAME` runs one.
"""
