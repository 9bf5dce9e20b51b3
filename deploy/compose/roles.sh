#!/bin/sh
# Run once by the database's own start, on an empty volume: the role that archives, which makes no tables.
set -eu
# Read by psql itself: an argument would stand in the process list.
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set password `cat /run/secrets/writer_password`
CREATE ROLE archiver_writer LOGIN PASSWORD :'password';
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
