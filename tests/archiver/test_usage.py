"""What happens to a command line before a command has it."""

import pytest
import typer

from archiver.errors import SettingsError
from archiver.usage import run_app


@pytest.fixture
def app():
    made = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

    @made.command()
    def prune(days: int = 1) -> None:
        raise typer.Exit(days)

    @made.command()
    def check() -> None:
        pass

    return made


@pytest.mark.parametrize(("arguments", "code"), [(["check"], 0), (["prune"], 1), (["prune", "--days", "75"], 75)])
def test_a_command_ends_with_its_own_exit_code(app, arguments, code):
    assert run_app(app, arguments, prog_name="archiver") == code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prunes"], "No such command 'prunes'"),
        (["prune", "--days", "x"], "'--days'"),
        (["prune", "--weeks", "1"], "--weeks; archiver prune --help tells what it takes"),
        (["check", "all"], "(all); archiver check --help tells what it takes"),
    ],
)
def test_a_command_line_that_is_not_understood_is_told_in_one_line_with_the_way_out(app, arguments, told):
    with pytest.raises(SettingsError) as refused:
        run_app(app, arguments, prog_name="archiver")

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_no_command_at_all_shows_the_help_on_standard_error(app, capsys):
    assert run_app(app, [], prog_name="archiver") == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Usage: archiver" in shown.err
