"""Millions of pictures from anywhere into a Parquet dataset, by many processes or machines.

The only part that knows pyarrow; never torch. What is to be done is cut into parts once
(`plan.py`); who does a part (`part.py`) is the business of an engine: a pool of processes
(`pool.py`) or Ray Data (`cluster.py`, the only file that knows Ray). Both call the same function,
so the output is the same.
"""
