"""Lesson 4: decision boundaries of small networks on toys in the plane."""
