"""Layouts and labels that fit the room they are given."""
