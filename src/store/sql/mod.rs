//! MLflow's own database: SQLite or PostgreSQL.
