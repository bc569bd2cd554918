// The page where one asks.
