"""Pictures for people: relation graphs, contact sheets, masks, attention, and the letters and colours in them."""
