"""The same requests served by one way of batching after another: the race, its figures and its pictures."""
