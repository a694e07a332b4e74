"""Matrix products: a ladder of real ones, tiles, pipelines, Strassen, tensor cores, their share."""
