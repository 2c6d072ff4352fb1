"""What differs between the facts and our networks in names only, a file per family."""
