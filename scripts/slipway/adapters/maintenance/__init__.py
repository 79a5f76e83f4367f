"""What maintenance looks at, and how its steps are carried out."""
