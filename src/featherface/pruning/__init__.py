"""B-FPGM: which filters can go, how many, and the network without them."""
