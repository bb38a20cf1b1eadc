"""The page of the role variables is made from the roles."""

from cli import variables_page


def test_the_page_is_what_make_docs_writes():
    assert variables_page.page() == variables_page.PAGE.read_text(), "`make docs` writes it anew"


def test_every_role_is_on_the_page():
    roles = {path.name for path in (variables_page.ROOT / "roles").iterdir()}
    assert roles - {"common"} == set(variables_page.ROLES)
