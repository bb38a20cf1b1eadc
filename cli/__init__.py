"""The command line: what `make provision`, `verify`, `rollback` and `report` run."""
