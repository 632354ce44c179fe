"""The pages about models in a browser, on the narrowest phone."""

from tests.browser.pages import NARROWEST, Opener, fits, follow, log_in, press
from webapp.models.user import User

SHOWS_ALL = "element => element.scrollWidth <= element.clientWidth"


def test_all_classes_and_two_models_stand_beside_each_other(open_page: Opener, admin: User) -> None:
    page = open_page("/login", NARROWEST)
    log_in(page)
    page.goto("/admin/models")
    names = [link.inner_text() for link in page.locator(".bundle h2 a").all()]
    follow(page.get_by_role("link", name="ham10000-ensemble"))
    assert fits(page)
    matrix = page.locator("[data-evaluated] .scroll")
    assert matrix.locator("tbody tr").count() == 7
    assert matrix.evaluate(SHOWS_ALL)
    page.goto("/admin/models")
    follow(page.get_by_role("link", name="tiny"))
    page.get_by_text("The numbers behind the curves").click()
    assert page.locator(".numbers table").is_visible()
    assert fits(page)
    page.goto("/admin/models")
    for name in names[:2]:
        page.locator(".bundle", has=page.get_by_role("link", name=name)).locator("input[type=checkbox]").check()
    press(page, "Compare the chosen ones")
    assert page.locator(".side-by-side thead th").count() == 2
    assert fits(page)
    assert page.locator(".scroll").evaluate(SHOWS_ALL)
