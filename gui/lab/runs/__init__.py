"""Runs that are stored: reopened, compared."""
