"""Lesson 11: what each exercise asks, its hints, and the check of an answer."""
