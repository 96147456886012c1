"""Text scores as attributes of Perspective: how good each is on public sets, and for texts about groups of people."""
