"""What a file of labels says, and which labels a place has by it."""

import fnmatch

import pytest

from archiver.errors import SettingsError
from archiver.labels import LABELS, Labeller, LabelRule, read_rules

# Names and globs such as people and machines make them, and those that would break a matcher less careful.
HOSTILE = [
    *(
        "api",
        "API",
        "pay-*",
        "pay-?",
        "[ab]pi",
        "[!a]*",
        "[",
        "[]",
        "[]]",
        "[!]",
        "[a",
        "[z-a]",
        "[a-]",
        "[[a]",
        "[&&a]",
    ),
    *("a||b", "[--a]", "[~~]", "*" * 40 + "b", "(a+)+$", "\\", "\\*", "^api$", ".*", "a\nb", "\u202eipa", "库存-*"),
    *(
        "'; DROP TABLE components;--",
        "%",
        "<script>alert(1)</script>",
        " ",
        "e\u0301",
        "\N{PILE OF POO}" * 3,
        "a" * 5000,
    ),
]


def read(tmp_path, text):
    path = tmp_path / "labels.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rules(path)


def rule(team="a", **conditions):
    return LabelRule(**conditions, labels={"team": team})


def team_of(rules, project_id="p", plan_name="plan", component_name="api"):
    return Labeller(rules).labels_of(project_id, plan_name, component_name)["team"]


def test_entries_are_read_in_their_order_with_conditions_and_labels(tmp_path):
    text = """
        [[labels]]
        environment = "production"

        [[labels]]
        project = "p1"
        plan = "nightly *"
        component = "pay-*"
        project_name = "Shop"
        team = "payments"
        tier = "gold"
    """

    rules = read(tmp_path, text)

    assert rules == [
        LabelRule(labels={"environment": "production"}),
        LabelRule("p1", "nightly *", "pay-*", {"project_name": "Shop", "team": "payments", "tier": "gold"}),
    ]
    assert [str(one) for one in rules] == [
        "no condition",
        "project = 'p1', plan = 'nightly *', component = 'pay-*'",
    ]


def test_the_example_in_the_checkout_is_read(request):
    rules = read_rules(request.config.rootpath / "labels.example.toml")

    assert {label for one in rules for label in one.labels} == set(LABELS)


def test_a_byte_order_mark_and_an_explicit_empty_list_are_understood(tmp_path):
    assert read(tmp_path, b'\xef\xbb\xbf[[labels]]\nteam = "a"\n') == [rule()]
    assert read(tmp_path, "labels = []") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[labels]]\nteam = "a"\n[[labels]]\nteem = "b"', "entry 2, key 'teem': unknown"),
        ('[[labels]]\nplan = "x"', "entry 1: gives no label"),
        ("[[labels]]", "entry 1: gives no label"),
        ('[[labels]]\nteam = ""', "entry 1, key 'team': is empty"),
        ('[[labels]]\nteam = "a"\nplan = " "', "entry 1, key 'plan': is empty"),
        ('[[labels]]\nteam = "a"\nproject = 7', "entry 1, key 'project': 7 is no text"),
        ('[[labels]]\nteam = ["a", "b"]', "entry 1, key 'team': ['a', 'b'] is no text"),
        ('[[labels]]\nteam = "a\\nb"', "entry 1, key 'team': 'a\\nb' holds a character that can't be shown"),
        ('[[labels]]\nteam = "a"\nplan = "\\u0000"', "entry 1, key 'plan': '\\x00' holds a character"),
        ('[[labels]]\nteam = "(unlabelled)"', "entry 1, key 'team': (unlabelled) stands for no label"),
        ('[[label]]\nteam = "a"', "key 'label' is unknown here"),
        ("labels = 3", "key 'labels' is no list of entries"),
        ('[labels]\nteam = "a"', "key 'labels' is no list of entries"),
        ("labels = [3]", "entry 1 is 3, no table"),
        ("", "holds no [[labels]]"),
        ('[[labels]]\nteam = "a"\nteam = "b"', "is no TOML"),
        ("[[labels]\n", "is no TOML"),
        ("x = " + "[" * 100_000, "is no TOML: it is nested too deep"),
        ("x = " + "9" * 5_000, "is no TOML"),
        (b"team = '\xff'", "is no UTF-8 text"),
    ],
)
def test_a_bad_file_is_told_in_one_line_with_the_entry_and_the_key(tmp_path, text, words):
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)

    assert str(caught.value).startswith(f"{tmp_path / 'labels.toml'}: {words}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        read_rules(tmp_path / "nothing.toml")
    with pytest.raises(SettingsError, match="Is a directory"):
        read_rules(tmp_path)


def test_the_last_rule_that_gives_a_label_wins_and_each_label_is_won_apart():
    rules = [
        LabelRule(labels={"team": "all", "tier": "silver"}),
        LabelRule(component="pay-*", labels={"team": "payments"}),
        LabelRule(project="p2", labels={"tier": "gold"}),
        LabelRule(component="web", labels={"team": "web"}),
    ]

    labels = Labeller(rules).labels_of("p2", "any", "pay-api")

    assert labels == {"project_name": None, "team": "payments", "environment": None, "tier": "gold"}


def test_all_conditions_of_a_rule_must_hold():
    rules = [rule(project="p", plan="nightly *", component="api")]

    assert team_of(rules, "p", "nightly 3", "api") == "a"
    assert team_of(rules, "q", "nightly 3", "api") is None
    assert team_of(rules, "p", "weekly 3", "api") is None
    assert team_of(rules, "p", "nightly 3", "web") is None


def test_globs_match_the_whole_name_and_tell_case():
    assert team_of([rule(component="ap")]) is None
    assert team_of([rule(component="API")]) is None
    assert team_of([rule(component="[!A]p?")]) == "a"


def test_no_glob_matches_a_name_that_is_missing_but_a_rule_without_it_does():
    assert team_of([rule(component="*")], component_name=None) is None
    assert team_of([rule(plan="*")], plan_name=None) is None
    assert team_of([rule(project="p")], plan_name=None, component_name=None) == "a"


def test_a_project_is_an_id_and_no_glob():
    assert team_of([rule(project="*")]) is None


@pytest.mark.parametrize("glob", HOSTILE)
def test_hostile_names_and_globs_match_as_fnmatchcase_says(glob):
    labeller = Labeller([rule(component=glob)])

    found = [name for name in HOSTILE if labeller.labels_of("p", None, name)["team"] == "a"]

    assert found == [name for name in HOSTILE if fnmatch.fnmatchcase(name, glob)]


def test_rules_that_applied_nowhere_are_named_by_their_number():
    labeller = Labeller([rule(component="web"), rule(), rule(plan="x*")])

    labeller.labels_of("p", "plan", "api")

    assert list(labeller.idle_rules()) == [(1, rule(component="web")), (3, rule(plan="x*"))]


def test_many_rules_are_told_apart_as_a_plain_search_would():
    rules = [rule(f"t{number}", component=f"c{number % 7}*", plan=f"p{number % 5}") for number in range(200)]
    labeller = Labeller(rules)

    for plan in range(5):
        for name in range(7):
            fitting = [one for one in rules if one.plan == f"p{plan}" and one.component == f"c{name}*"]
            assert labeller.labels_of("p", f"p{plan}", f"c{name}-x")["team"] == fitting[-1].labels["team"]
