"""Masking: what it takes away, what it leaves, and that it takes nothing twice."""

import doctest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver import masking
from archiver.masking import LONGEST, mask, template_id
from archiver.simulator import messages
from archiver.simulator.dice import Dice

HOSTILE = [
    "",
    " \t\n ",
    "\x00\x01\x1b[31mred 5\x1b[0m",
    "\ud800 lone surrogate 7",
    "\u202eright to left 12",
    "9" * 5000,
    "9 " * 5000,
    "é1" * 3000,
    "'" * 5001,
    '"' * 5001,
    "`'\"" * 1500,
    "<" * 4000,
    "<n>" * 1500,
    "<<n>>5<",
    "'a\"b'c\"'",
    "5'a'5 'a'<n> <'a'>",
    "</script><script>alert(1)</script>",
    '=HYPERLINK("http://10.0.0.1/x","5")',
    "a." * 3000,
    "1.1" * 1500 + "z",
    "1m" * 2000 + "q",
    "1e" * 2000,
    "a:" * 3000 + "1",
    "::" * 2000 + "1",
    "0/" * 2500,
    "/" * 5000,
    "-" * 5000 + "5",
    "http://" * 1000,
    "a@" * 3000,
    "٣٤٥ web ٣'a'٣web\uff15",
    '{"a":{"b":[1,2,{"c":"d\'e"}]}}' * 200,
    "x" * 10_000_000,
]


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("exit code 137 after 600s, 12.5% of 512Mi", "exit code <n> after <n>, <n>% of <n>"),
        ("0/12 nodes are available: 3 Insufficient memory.", "<n>/<n> nodes are available: <n> Insufficient memory."),
        ("job JOB6999c66d-cb39-4c46-9f98-893b704300e0 timed out", "job <id> timed out"),
        ("elb df49e875-000c-4d69-8f45-c4f384549e1b: gone", "elb <id>: gone"),
        ("image sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "image <id>"),
        ("commit 3f2a9bc, pod api-7d4b9c6f5-x2k9p, pod fluentd-bcdfg", "commit <id>, pod <id>, pod <id>"),
        ("dial tcp 10.0.3.17:3306: connect: refused", "dial tcp <ip>: connect: refused"),
        ("dial tcp [fe80::1ff:fe23:4567:890a]:443", "dial tcp [<ip>]:<n>"),
        ("Get http://10.1.2.3:8080/health?x=1: EOF", "Get <url>: EOF"),
        ("(see https://example.com/a/b).", "(see <url>)."),
        ("lookup db.prod.example.com: no such host", "lookup <host>: no such host"),
        ("resolve redis.internal", "resolve <host>"),
        ("open /etc/app/config.yaml: denied", "open <path>: denied"),
        ("panic at main.go:17, app/main.go:17", "panic at <id>, <path>"),
        ("at 2026-11-16T10:01:02.123Z, 2026-11-16 10:01:02+08:00", "at <time>, <time> <time>"),
        ("invalid value 'no idea' for \"replicas\" and `x`", "invalid value <text> for <text> and <text>"),
        ("it can't, it won't", "it can't, it won't"),
        ("启动失败:等待600秒 节点 node-10-1-2-3", "启动失败:等待<n>秒 节点 <id>"),
        ("APIGW.0308 throttled; SVCSTG.00100401", "APIGW.0308 throttled; SVCSTG.00100401"),
        (
            "java.lang.NullPointerException: x509 utf-8 limits.cpu",
            "java.lang.NullPointerException: x509 utf-8 limits.cpu",
        ),
        ("read/write and and/or ready-to-go.", "read/write and and/or ready-to-go."),
        ("a  b\n\tc", "a b c"),
        ("<error>5</error>", "<error><n></error>"),
        ("mail ops@example.com", "mail <id>"),
        ("v1.27.4 is not 1.28", "<n> is not <n>"),
    ],
)
def test_a_message_is_masked_to(message, template):
    assert mask(message) == template


def test_the_components_own_name_is_masked_where_it_stands_alone():
    assert (
        mask("web: container web of pod web-1, web.", "web")
        == "<component>: container <component> of pod <id>, <component>."
    )
    assert mask("website and web-site and /web", "web") == "website and web-site and <path>"
    assert mask("db2 failed", "db2") == "<component> failed"
    assert mask('"the web" and "no web"', "web") == "<text> and <text>"
    assert mask("pod shop-库存|x-7d4b9c6f5-x2k9p of shop-库存|x", "shop-库存|x") == "pod <id> of <component>"


@pytest.mark.parametrize("name", ["n", "", "..", "(", "text", "component", "a b"])
def test_a_name_that_could_be_anything_spoils_no_template(name):
    once = mask("n (text) component 5 'x' a b", name)

    assert mask(once, name) == once
    assert "<n> <text>" in once


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_message_has_a_template_that_is_its_own(number):
    template = mask(HOSTILE[number], "web")

    assert mask(template, "web") == template
    assert len(template) <= LONGEST
    assert len(template_id(template)) == 16


PIECES = st.sampled_from(
    [
        *("'", '"', "`", "<", ">", "<n>", "</", "/", ":", ".", "-", "_", "@", "%", "~", " ", "\n", "٣", "é", "例"),
        *("5", "12", "a", "web", "10.0.0.1", "http://", "1e5", "2026-11-16", "10:00", "APIGW.0308", "x509", "0x1f"),
        *("600s", "bcdfg", "\\", '\\"'),
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=60))
@example("'a\"b'c\"'")
@example("٣web")
@example("web.٣")
def test_masking_a_template_changes_nothing(message):
    for name in (None, "web"):
        template = mask(message, name)
        assert mask(template, name) == template


@given(st.lists(PIECES, min_size=400, max_size=900).map("".join))
def test_masking_a_cut_message_twice_changes_nothing(message):
    template = mask(message * 4, "web")

    assert mask(template, "web") == template
    assert len(template) <= LONGEST


@given(st.text(max_size=80))
def test_no_number_passes_unless_it_stands_in_a_word_that_is_kept(message):
    template = mask(message)

    assert not any(word.isdecimal() for word in template.split())


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["web", "cron-mailer", "api_2"]))
def test_messages_that_differ_in_numbers_alone_share_a_template(one, other, name):
    text = "{name}: {n} of 12 replicas, pod {name}-{n}, GET /v1/{n}?page={n} took {n}ms at 10.0.0.1:{n}"

    assert mask(text.format(name=name, n=one), name) == mask(text.format(name=name, n=other), name)


def test_what_stands_behind_the_longest_is_not_compared():
    beginning = ("word " * LONGEST)[:LONGEST]

    assert mask(beginning + "one tail") == mask(beginning + "another 5")


def test_the_simulators_messages_fall_into_the_families_they_are_made_from():
    dice = Dice("masking")
    names = ["api", "web", "billing", "cron-mailer", "db2"]
    deploys = {mask(messages.deploy_failure(dice, name), name) for _ in range(150) for name in names}
    undone = {mask(messages.rollback_failure(dice, name), name) for _ in range(20) for name in names}

    assert len(deploys) == len(messages._DEPLOY) + len(messages._AWKWARD)
    assert len(undone) == len(messages._ROLLBACK)


def test_an_id_is_stable_and_tells_templates_apart():
    # printf '1\nexit code <n>' | sha256sum
    assert template_id("exit code <n>") == "0de9528f7b11d9b8"
    assert template_id("exit code <id>") != template_id("exit code <n>")


def test_the_example_holds():
    assert doctest.testmod(masking).failed == 0
