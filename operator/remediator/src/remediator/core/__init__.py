"""Pure decisions: a snapshot of the world goes in, a decision comes out. No I/O and no clock in here."""
