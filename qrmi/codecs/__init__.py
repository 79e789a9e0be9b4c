"""Programs and results, to and from the payload formats that several vendors take."""
