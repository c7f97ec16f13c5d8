"""Recommendations: made by algorithms or by hand, shown to their users, and judged by them."""
