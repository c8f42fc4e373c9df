"""Training: one loop for the relational transformer, and the recipe of the embedded nano model."""
