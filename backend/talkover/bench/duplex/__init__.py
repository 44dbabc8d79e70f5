"""Full-duplex behaviour, as the other side of the line hears it: who yields to what, and how soon."""
