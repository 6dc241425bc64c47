"""What the notebooks built, exported cell by cell: change the notebook, never these files."""
