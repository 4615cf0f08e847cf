"""How good a detector is: average precision by the size of the faces, in numpy."""
