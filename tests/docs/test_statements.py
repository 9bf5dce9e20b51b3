"""Every SQL block of README and docs, run on both databases; the cookbook's also give what is shown below them."""

import pytest
from archives import COOKBOOK, ask, markdown
from cookbook import questions, with_results
from fenced import blocks

ASKED = {
    f"{number}. {question}": (statement, told) for number, question, statement, told in questions(COOKBOOK.read_text())
}
STATEMENTS = {block.name: block for block in blocks("sql") if block.document != "docs/cookbook.md"}


@pytest.mark.parametrize("question", ASKED)
def test_a_question_has_the_answer_that_the_cookbook_shows(docs, question):
    statement, told = ASKED[question]

    assert markdown(*ask(docs, statement)).rstrip("\n") == told, "stale: run `make docs`"


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_runs(docs, name):
    block = STATEMENTS[name]
    # Where a document gives two, the line above says which database each is for.
    of_one = {"SQL, SQLite:": "sqlite", "SQL, PostgreSQL:": "postgresql"}.get(block.introduced_by)
    if of_one in (None, docs.dialect.name):
        columns, _ = ask(docs, block.text)
        assert columns


def test_the_cookbook_has_its_25_questions_and_all_its_statements_are_theirs():
    assert [name.split(".")[0] for name in ASKED] == [str(number) for number in range(1, 26)]
    assert [statement for statement, _ in ASKED.values()] == [block.text for block in blocks("sql", COOKBOOK)]


def test_most_questions_have_an_answer_in_the_demo():
    assert [name for name, (_, told) in ASKED.items() if told == "*No rows.*"] == [
        "4. Which components failed, were redeployed the same day and rolled back later?"
    ]


def test_writing_the_results_anew_leaves_all_else_as_it_is():
    content = COOKBOOK.read_text()
    results = iter([told for _, told in ASKED.values()])

    assert with_results(content, lambda _: next(results) + "\n") == content
    assert "anything" in with_results(content, lambda _: "anything\n")
