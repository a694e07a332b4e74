"""The reader's library, without Qt: outline, search, the user's database, study marks, run records."""
