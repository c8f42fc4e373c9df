"""The recipe of the embedded nano model, from rendered puppets to a model folder."""
