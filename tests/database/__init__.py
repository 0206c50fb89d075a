"""The SQL on a real PostgreSQL server: projections, races, and the adoption of existing projects."""
