"""docs/settings.md lists the settings that the commands have: names, variables, defaults and meanings."""

from tests.docs.settings_page import PAGE, write_tables


def test_the_page_is_what_the_commands_say() -> None:
    page = PAGE.read_text("utf-8")
    assert page == write_tables(page), "run: python -m tests.docs.settings_page"


def test_every_flag_of_serve_is_there() -> None:
    page = PAGE.read_text("utf-8")
    for flag in ("--broker HOST:PORT", "--guarantee at_least_once\\|exactly_once", "--policy POLICY", "--http-port"):
        assert f"| `{flag}" in page
