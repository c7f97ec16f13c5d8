"""Stating what was served: every request under /api/ becomes a RequestServed on the bus."""
