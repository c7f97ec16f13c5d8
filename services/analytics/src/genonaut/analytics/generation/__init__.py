"""How generation jobs fare: how many are asked for, how they end, how long they take."""
