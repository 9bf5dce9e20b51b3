"""Notify URLs: which may be used, and how they are named without their secrets."""

import apprise
import pytest
from apprise.manager_plugins import NotificationManager

from archiver.services import MAIL_SCHEMES, ServiceRefusedError, deliver, open_service, service_name

# Apprise looks for this module of the standard library when it loads its services.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "SECRETSECRETSECRET"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"jsons://user:{SECRET}@hooks.example.com/{SECRET}?x={SECRET}", "jsons://hooks.example.com"),
        (f"mailtos://user:{SECRET}@example.com?smtp=smtp.example.com&to=a@example.com", "mailtos://smtp.example.com"),
        (f"workflows://prod.example.com:443/workflow/{SECRET}", "workflows://prod.example.com"),
        (f"discord://{SECRET}1/{SECRET}", "discord://…"),
        (f"ntfys://{SECRET}", "ntfys://…"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnl{SECRET[:15]}/#general", "slack://…"),
        ("json://127.0.0.1:1/", "json://127.0.0.1"),
        ("mailto://localhost:25?from=a@example.com", "mailto://localhost"),
    ],
)
def test_a_service_is_named_by_scheme_and_host_and_a_token_in_its_place_is_left_out(url, name):
    service = open_service(url)

    assert service_name(service) == name
    assert (service.verify_certificate, service.redirects) == (True, False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"nosuch://{SECRET}", "none that Apprise can use"),
        (f"slack://{SECRET}", "none that Apprise can use"),
        (f"jsons://u:{SECRET}@example.com?verify=no", "verify=no"),
        (f"json://u:{SECRET}@example.com", "write jsons://"),
        (f"mailto://u:{SECRET}@example.com", "write mailtos://"),
        (f"mailtos://u:{SECRET}@example.com?mode=insecure", "write mailtos://"),
        (f"mailto://u:{SECRET}@localhost?smtp=mail.example.com", "write mailtos://"),
    ],
)
def test_a_url_that_is_none_or_weakens_the_connection_is_refused_without_showing_it(url, words, capfd):
    with pytest.raises(ServiceRefusedError) as refused:
        open_service(url)

    assert words in str(refused.value)
    assert SECRET not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_redirects_stay_off_whatever_the_url_says():
    assert open_service("jsons://example.com?redirect=yes").redirects is False


def test_every_scheme_that_is_called_mail_is_one_that_takes_html():
    plugins = NotificationManager()

    for scheme in MAIL_SCHEMES:
        assert "html" in str(plugins[scheme].notify_format).lower()
    assert apprise.Apprise.instantiate("tgram://123456789:abcdefg_hijklmnop/12315544/").schema not in MAIL_SCHEMES


@pytest.mark.parametrize(("option", "count"), [("", 2), ("?overflow=upstream", 1)])
def test_a_message_past_the_limit_of_a_chat_is_split_unless_its_url_says_otherwise(monkeypatch, option, count):
    service = open_service(f"discord://123456/abcdefgh{option}")
    sent = []
    monkeypatch.setattr(service, "send", lambda **given: sent.append(given["body"]) or True)

    lines = [f"- line {number}" for number in range(200)]  # 2,290 characters; Discord takes 2,000
    reason = deliver(service, {"title": "t", "markdown": "\n".join(lines), "html": "", "files": {}})

    assert (reason, len(sent)) == (None, count)
    assert "".join(sent).count("- line") == 200
