"""How alembic meets the archive: the connection that the program hands over, or the settings' database."""

from alembic import context

from archiver.instants import UtcDateTime
from archiver.schema import metadata
from archiver.viewing import keeping_statements, view_statements


def render_item(kind, item, autogen_context):
    """Write our column type in SQLAlchemy's own words: a migration imports nothing of the program."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")'
    return False


def migrate(connection, schema):
    """Run the migrations on a connection, or print them where there is none."""
    options = {
        "target_metadata": metadata,
        "render_as_batch": True,
        "render_item": render_item,
        "compare_type": True,
        # The caller's transaction holds it all: a migration is whole or not there.
        "transactional_ddl": True,
    }
    if connection is None:
        # With the driver's own style of parameters every % would be printed twice.
        plain = {"paramstyle": "named"}
        context.configure(dialect_name="postgresql", dialect_opts=plain, as_sql=True, **options)
        with context.begin_transaction():
            # Asked first: IF NOT EXISTS needs the right to create a schema even where it exists.
            missing = f"NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '{schema}')"
            context.execute(f'DO $$ BEGIN IF {missing} THEN CREATE SCHEMA "{schema}"; END IF; END $$')
            context.execute(f'SET LOCAL search_path TO "{schema}"')
            # An archive that is there has views, which others may read: their rights outlive them.
            is_there = context.get_starting_revision_argument() is not None
            before, after = keeping_statements(schema) if is_there else ([], [])
            for statement in before:
                context.execute(statement)
            context.run_migrations()
            for statement in (*view_statements(), *after):
                context.execute(statement)
        return
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()


def main():
    """Find the connection and migrate."""
    attributes = context.config.attributes
    if context.is_offline_mode() or "connection" in attributes:
        migrate(attributes.get("connection"), attributes.get("schema", "release_archive"))
        return
    from archiver.database import open_writer
    from archiver.settings import load_settings

    settings = load_settings()
    schema = settings.database_schema
    engine = open_writer(settings.database_url.get_secret_value(), schema)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.dialect.default_schema_name = schema
        migrate(connection, schema)
    engine.dispose()


main()
