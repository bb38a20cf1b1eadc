"""The front door: what `make provision`, `verify`, `rollback` and `report` run."""
