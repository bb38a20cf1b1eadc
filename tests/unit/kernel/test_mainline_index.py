"""The kernel role's reading of the mainline archive's names and pages, on whatever they may be."""

import re
from types import SimpleNamespace

import mainline
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mainline import MainlineError, Page, Version

from tests.mirror import minimal_debs

URL = "https://example.org/mainline/"

numbers = st.integers(0, 150)
versions = st.builds(Version, numbers, numbers, numbers, st.just(mainline.RELEASED) | st.integers(0, 12))
released = st.builds(Version, numbers, numbers, numbers, st.just(mainline.RELEASED))


def page(*links, text="", url=URL):
    return Page(url, text + "".join(f'<a href="{link}">x</a>' for link in links))


@given(versions)
def test_a_version_is_read_back_from_its_text_and_from_its_directory(version):
    assert Version.parse(version.text) == version
    assert Version.parse(version.directory) == version


@given(versions)
def test_a_release_has_the_name_that_the_archive_gives_it(version):
    assert version.base == minimal_debs.base(version.text)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("5.6", "5.6.0-050600"),
        ("5.6.0", "5.6.0-050600"),
        ("v5.6.19", "5.6.19-050619"),
        ("6.10-rc3", "6.10.0-061000rc3"),
        ("4.14.120", "4.14.120-0414120"),
    ],
)
def test_names_are_those_of_real_builds(text, release):
    assert Version.parse(text).base == release


@given(st.lists(versions))
def test_a_candidate_comes_before_its_release_and_numbers_count_as_numbers(some):
    assert sorted(some) == sorted(
        some, key=lambda one: (one.major, one.minor, one.micro, not one.is_rc, one.rc)
    )
    assert (
        Version.parse("6.10-rc3")
        < Version.parse("6.10-rc10")
        < Version.parse("6.10")
        < Version.parse("6.10.1")
    )
    assert Version.parse("6.9") < Version.parse("6.10")


@given(st.text() | st.from_regex(r"v?[0-9]+(\.[0-9]+){0,4}(-rc[0-9]*)?.?"))
@example("5.6٣")
@example("5.6\n")
def test_what_is_no_version_is_never_taken_for_one(text):
    version = Version.parse(text)
    if version:
        assert re.fullmatch(r"v?[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?(-rc[0-9]{1,3})?", text)


@given(st.text())
@example("<![foo]]>")
@example('<a href="http://[">')
@example('<a href="//[x/">')
def test_any_text_is_a_page_or_refused_in_a_sentence(text):
    try:
        read = Page(URL, text)
    except MainlineError as error:
        assert str(error).startswith(URL)
    else:
        assert isinstance(read.text, str)


@pytest.mark.parametrize("href", ["v5.6/", "./v5.6/", "/mainline/v5.6/", URL + "v5.6/", "v5.6"])
def test_a_link_counts_however_it_is_written(href):
    assert mainline.offered(page(href)) == [Version.parse("5.6")]


@pytest.mark.parametrize(
    "href",
    [
        "/v5.6/",
        "../v5.6/",
        "https://elsewhe.org/mainline/v5.6/",  # as long as ours
        "?C=N;O=D",
        "v5.6/?C=N",
        "#v5.6",
        "mailto:v5.6/",
    ],
)
def test_a_link_that_leads_elsewhere_does_not_count(href):
    with pytest.raises(MainlineError, match="lists no kernel"):
        mainline.offered(page(href))


@pytest.mark.parametrize(
    "odd",
    [
        "daily",
        "v5.12-rc1-dontuse",
        "v3.2.1-precise",
        "v5.6.0",
        "v05.6",
        "v2.6.32.10",
        "5.6",
        "v5.6-rc",
        "vv5.6",
    ],
)
def test_an_odd_directory_is_never_offered(odd):
    assert mainline.offered(page(f"{odd}/", "v4.1/")) == [Version.parse("4.1")]


@given(st.sets(versions, min_size=1))
def test_the_index_is_read_newest_first(some):
    assert mainline.offered(page(*(f"{one.directory}/" for one in some))) == sorted(some, reverse=True)


@given(st.sets(versions).map(lambda some: sorted(some, reverse=True)))
def test_latest_is_the_newest_that_is_no_release_candidate(some):
    out = [one for one in some if not one.is_rc]
    if out:
        assert mainline.candidates("latest", some) == out
    else:
        with pytest.raises(MainlineError, match="the mainline archive has no latest"):
            mainline.candidates("latest", some)


@given(st.sets(versions, min_size=1).map(lambda some: sorted(some, reverse=True)), st.data())
def test_a_series_is_all_its_releases_newest_first(some, data):
    series = data.draw(st.sampled_from(some)).series
    fitting = [one for one in some if one.series == series and not one.is_rc]
    if fitting:
        assert mainline.candidates(f"{series}.x", some) == fitting
    else:
        with pytest.raises(MainlineError, match=re.escape(f"has no {series}.x")):
            mainline.candidates(f"{series}.x", some)


@given(st.sets(versions).map(lambda some: sorted(some, reverse=True)), versions)
def test_a_version_is_itself_or_refused_with_what_is_near(some, wanted):
    if wanted in some:
        assert mainline.candidates(wanted.text, some) == [wanted]
        return
    with pytest.raises(MainlineError) as refusal:
        mainline.candidates(wanted.text, some)
    assert f"has no {wanted.text}" in str(refusal.value)
    near = re.search(r"near it are (.*) \(not looked at\)", str(refusal.value))
    assert bool(near) == bool(some)
    if near:
        named = [Version.parse(text) for text in near[1].split(", ")]
        assert set(named) <= set(some)
        assert len(named) <= 5
        series = [one for one in some if one.series == wanted.series]
        assert not series or {one.series for one in named} == {wanted.series}


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("5.6.9", "5.6.11, 5.6.10, 5.6.8, 5.6.7, 5.6.6"),
        ("5.6.99", "5.6.19, 5.6.18, 5.6.17, 5.6.16, 5.6.15"),
        ("5.6-rc9", "5.6.2, 5.6.1, 5.6, 5.6-rc2, 5.6-rc1"),
        ("5.7", "6.1, 5.6.19, 5.6.18, 5.6.17, 5.6.16"),
        ("9.9.x", "6.1, 5.6.19, 5.6.18, 5.6.17, 5.6.16"),
    ],
)
def test_what_is_near_is_what_a_person_would_try_next(wanted, near):
    names = [
        "6.2-rc1",
        "6.1",
        *(f"5.6.{micro}" for micro in range(19, 0, -1) if micro != 9),
        "5.6",
        "5.6-rc2",
        "5.6-rc1",
    ]
    with pytest.raises(MainlineError) as refusal:
        mainline.candidates(wanted, [Version.parse(name) for name in names])
    assert f"near it are {near}" in str(refusal.value)


@pytest.mark.parametrize(
    "wanted", ["5", "5.x", "newest", "5.6.19.1", "5.6-rc3-dontuse", "../etc", "5.6;x", "5.6.X"]
)
def test_what_has_no_meaning_is_refused_with_what_has(wanted):
    with pytest.raises(MainlineError, match=re.escape(f"{wanted} is no version") + ".*5.6.x or latest"):
        mainline.candidates(wanted, [Version.parse("5.6")])


flavours = st.sampled_from(["generic", "generic-64k", "generic-lpae", "lowlatency", "snapdragon"])
architectures = st.sampled_from(["amd64", "arm64", "armhf", "ppc64el"])
kinds = st.sampled_from(["image-unsigned", "image", "modules", "headers"])
stamps = st.integers(201001010000, 203012312359).map(str)


@given(versions, kinds, flavours, stamps, architectures)
def test_a_deb_is_read_from_its_name_in_either_layout(version, kind, flavour, stamp, architecture):
    name = f"linux-{kind}-{version.base}-{flavour}_{version.base}.{stamp}_{architecture}.deb"
    deb = mainline.Deb("", name, kind, flavour, stamp, architecture)
    assert mainline.debs_of(page(name), version) == {deb}
    inside = deb._replace(folder=f"{architecture}/")
    assert mainline.debs_of(page(f"{architecture}/{name}"), version) == {inside}
    assert mainline.debs_of(page(name, url=f"{URL}{architecture}/"), version, f"{architecture}/") == {inside}


RIGHT = "linux-image-unsigned-5.6.0-050600-generic_5.6.0-050600.202003292333_amd64.deb"


@pytest.mark.parametrize(
    "wrong",
    [
        RIGHT.replace("5.6.0", "5.6.1"),
        RIGHT.replace("050600", "050601"),
        RIGHT.replace("5.6.0", "5x6.0"),
        RIGHT.replace("image-unsigned", "modules-extra"),
        RIGHT.replace("image-unsigned", "buildinfo"),
        RIGHT.replace("_amd64", ""),
        RIGHT.replace("202003292333", "1"),
        RIGHT.replace("generic", "generic/../x"),
        RIGHT.replace("generic", "generic%0a"),
        RIGHT + ".asc",
        "../" + RIGHT,
        "a/b/" + RIGHT,
        "%2e%2e/" + RIGHT,
    ],
)
def test_a_name_that_is_not_just_right_is_no_deb_of_the_build(wrong):
    version = Version.parse("5.6")
    assert len(mainline.debs_of(page(RIGHT), version)) == 1
    assert mainline.debs_of(page(wrong), version) == set()


@st.composite
def directories(draw):
    """Draw debs of some stamps, as they might lie in the directory of a version."""
    debs = set()
    for stamp in draw(st.sets(stamps, max_size=3)):
        folder = draw(st.sampled_from(["", "amd64/"]))
        for kind, flavour, architecture in draw(
            st.sets(
                st.tuples(
                    kinds, st.sampled_from(["generic", "lowlatency"]), st.sampled_from(["amd64", "arm64"])
                )
                | st.just(("headers", "", "all"))
            )
        ):
            debs.add(
                mainline.Deb(
                    folder, f"{kind}.{flavour}.{stamp}.{architecture}", kind, flavour, stamp, architecture
                )
            )
    return debs


@given(directories(), st.booleans())
def test_the_newest_complete_build_is_chosen_and_never_a_mixture(debs, headers):
    def has(stamp, kind, flavour="generic", architecture="amd64"):
        return any(
            (deb.stamp, deb.kind, deb.flavour, deb.architecture) == (stamp, kind, flavour, architecture)
            for deb in debs
        )

    def complete(stamp):
        return (has(stamp, "image-unsigned") or has(stamp, "image")) and (
            has(stamp, "modules") or (not has(stamp, "image-unsigned") and stamp < "201804240000")
        )

    expected = max(filter(complete, {deb.stamp for deb in debs}), default=None)
    build = mainline.assemble(debs, "generic", "amd64", headers)
    assert (build and build["stamp"]) == expected
    if build:
        assert {deb.stamp for _part, deb in build["debs"]} == {expected}
        image = "image-unsigned" if has(expected, "image-unsigned") else "image"
        whole = has(expected, "headers") and has(expected, "headers", "", "all")
        assert [deb.kind for _part, deb in build["debs"]] == [
            image,
            *(["modules"] if has(expected, "modules") else []),
            *(["headers", "headers"] if headers and whole else []),
        ]
        assert all(deb.flavour in ("generic", "") for _part, deb in build["debs"])


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        ("Build for amd64 succeeded (see BUILD.LOG.amd64)", False),
        ("Build for amd64 failed (see BUILD.LOG.amd64)", True),
        ("Test amd64/build succeeded (rc=0, on=amd64, time=0:11:17, log=amd64/log)", False),
        ("Test amd64/build failed (rc=2, on=amd64, time=0:11:17, log=amd64/log)", True),
        ('Test <a href="amd64/log">amd64/build</a>\n failed (rc=2)', True),
        ("Test amd64/build missing (rc=125, on=amd64, time=0:00:01, log=amd64/log)", True),
        ("Test amd64/self-tests failed (rc=2, on=amd64, time=0:01:05, log=amd64/self-tests/log)", False),
        ("Test arm64/build failed (rc=2) Test amd64/build succeeded (rc=0)", False),
    ],
)
def test_a_failed_build_is_told_from_failed_tests_and_other_architectures(said, failed):
    assert mainline.build_failed(page(text=said), "amd64") is failed


def test_no_more_than_ten_builds_are_looked_at():
    asked = []

    def read(url):
        asked.append(url)
        return SimpleNamespace(url=url, links=set(), text="")

    many = [Version(5, 6, micro, mainline.RELEASED) for micro in range(30, 0, -1)]
    with pytest.raises(MainlineError, match=r"none of the newest 10 builds that fit 5\.6\.x can be used"):
        mainline.resolve(read, URL, many, "5.6.x", "generic", "amd64", True)
    assert asked == [f"{URL}v5.6.{micro}/" for micro in range(30, 20, -1)]
