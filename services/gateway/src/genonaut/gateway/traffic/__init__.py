"""Stating what was served: every request to a route of the API becomes a RequestServed on the bus."""
