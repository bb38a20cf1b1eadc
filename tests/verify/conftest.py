"""The verification of provisioned hosts: options, connections, report. It changes nothing on a host.

To run it directly: `pytest tests/verify --lab-hosts=box --lab-inventory-ssh-config=FILE`.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from testinfra.host import Host

from tests.verify import connection, expectation, judges, report

#: The test files in the order of the steps.
ORDER = ("release", "kernel", "liburing", "sandbox", "samples")

REACHED = pytest.StashKey["Reached"]()
EXPECTED = pytest.StashKey[dict]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; --connection is testinfra's own."""
    group = parser.getgroup("uring-lab", "verification of provisioned hosts")
    group.addoption("--lab-hosts", metavar="A,B", help="the hosts, as the ssh configuration names them")
    group.addoption(
        "--lab-inventory-ssh-config",
        metavar="FILE",
        help="ssh configuration of the hosts (default: the user's own)",
    )
    group.addoption(
        "--lab-expect",
        metavar="FILE",
        help="JSON of the role variables that each host was provisioned with, by its name",
    )
    group.addoption("--lab-steps", metavar="FILE", help="JSON of what each step did, for the report")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Check the options before anything is collected."""
    config = session.config
    if not hosts_of(config):
        raise pytest.UsageError(
            "which hosts? --lab-hosts=NAME[,NAME…], and --lab-inventory-ssh-config=FILE unless "
            "~/.ssh/config knows them"
        )
    if connection_of(config) not in connection.CONNECTIONS:
        raise pytest.UsageError(f"--connection is one of {', '.join(connection.CONNECTIONS)}")
    ssh_config = config.getoption("lab_inventory_ssh_config", None)
    try:
        if ssh_config:
            Path(ssh_config).read_bytes()
        config.stash[EXPECTED] = expectation.read_expected(
            config.getoption("lab_expect", None), hosts_of(config)
        )
        expectation.read_steps(config.getoption("lab_steps", None))
        expectation.read_catalog()
    except OSError as problem:
        raise pytest.UsageError(f"--lab-inventory-ssh-config: {ssh_config}: {problem.strerror}") from None
    except expectation.ExpectationError as problem:
        raise pytest.UsageError(str(problem)) from None
    config.stash[REACHED] = Reached(config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the connections."""
    if REACHED in session.config.stash:
        session.config.stash[REACHED].close()


def hosts_of(config: pytest.Config) -> list[str]:
    """Return the hosts to verify, in the order given."""
    return [name for name in (config.getoption("lab_hosts", None) or "").split(",") if name]


def samples_of(config: pytest.Config) -> list[dict]:
    """Return the samples that one host or another should have."""
    expected = config.stash[EXPECTED]
    return [
        sample
        for sample in expectation.read_catalog()
        if any(expectation.is_asked_for(sample, expected[name]) for name in hosts_of(config))
    ]


def connection_of(config: pytest.Config) -> str:
    """Return the connection to use."""
    return config.getoption("connection") or connection.CONNECTIONS[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test per host (one xdist worker each), the samples' tests per sample or case."""
    if "host" in metafunc.fixturenames:
        hosts = [
            pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in hosts_of(metafunc.config)
        ]
        metafunc.parametrize("host", hosts, indirect=True, scope="session")
    if "sample" in metafunc.fixturenames:
        wanted = metafunc.definition.get_closest_marker("samples")
        chosen = [
            sample
            for sample in samples_of(metafunc.config)
            if all(sample[key] == value for key, value in wanted.kwargs.items())
        ]
        if "case" in metafunc.fixturenames:
            pairs = [(sample, case) for sample in chosen for case in judges.cases(sample)]
            ids = [f"{expectation.label(sample)}: {case}" for sample, case in pairs]
            metafunc.parametrize(("sample", "case"), pairs, ids=ids)
        else:
            metafunc.parametrize("sample", chosen, ids=expectation.label)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that selects the samples of a test."""
    config.addinivalue_line(
        "markers", "samples(**fields): run the test for the catalog's samples with these fields"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out a host's tests of samples that it was not asked for; sort by host, then by step."""

    def is_asked_for(item: pytest.Item) -> bool:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if not {"host", "sample"} <= given.keys():
            return True
        return expectation.is_asked_for(given["sample"], item.config.stash[EXPECTED][given["host"]])

    def place(item: pytest.Item) -> tuple[int, int]:
        hosts = hosts_of(item.config)
        return hosts.index(item.callspec.params["host"]), ORDER.index(item.path.stem.removeprefix("test_"))

    items[:] = filter(is_asked_for, items)
    items.sort(key=lambda item: place(item) if "host" in getattr(item, "fixturenames", ()) else (0, 0))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail or skip the test if its host cannot be reached."""
    if "host" in item.fixturenames:
        item.config.stash[REACHED].require(item.callspec.params["host"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failure as its message and the test's docstring; with -vv also the code.

    Tracebacks and captured output are cleaned: text from a host must not control the terminal.
    """
    result = yield
    if result.failed and call.excinfo.errisinstance(AssertionError) and item.config.get_verbosity() < 2:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        reason = judges.reason(given["sample"], given["case"]) if "case" in given else item.function.__doc__
        result.longrepr = report.failure(str(call.excinfo.value), reason)
    hook = item.config.hook
    content = hook.pytest_report_to_serializable(config=item.config, report=result)
    return hook.pytest_report_from_serializable(config=item.config, data=report.cleaned(content))


class Reached:
    """The hosts of this run, each connected to once."""

    class State(NamedTuple):
        """A host, and why it cannot be reached (None: it can)."""

        host: Host
        fault: str | None

    def __init__(self, config: pytest.Config) -> None:
        self._connection = connection_of(config)
        self._ssh_config = config.getoption("lab_inventory_ssh_config", None)
        self._sockets = connection.control_directory()
        self._reported: set[str] = set()
        self._states: dict[str, Reached.State] = {}

    def require(self, name: str) -> None:
        """Fail or skip the running test if the host cannot be reached."""
        if name not in self._states:
            self._states[name] = self._reach(name)
        if fault := self._states[name].fault:
            self.fail_once(fault)

    def fail_once(self, fault: str) -> NoReturn:
        """Fail the first test that a fault prevents, and skip the later ones with the reason."""
        if fault in self._reported:
            pytest.skip(f"not checked, because: {fault}")
        self._reported.add(fault)
        pytest.fail(fault, pytrace=False)

    def _reach(self, name: str) -> State:
        host = connection.open_host(name, self._connection, self._ssh_config, self._sockets.name)
        try:
            connection.reach(host)
        except connection.UnreachableError as problem:
            return Reached.State(host, str(problem))
        return Reached.State(host, None)

    def get(self, name: str) -> Host:
        """Return a host that `require` has accepted."""
        return self._states[name].host

    def close(self) -> None:
        """Close all connections."""
        for state in self._states.values():
            if not state.fault:
                connection.close_host(state.host)
        self._sockets.cleanup()


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> Host:
    """Return the host under verification; its commands run as root."""
    return request.config.stash[REACHED].get(request.param)


@pytest.fixture(scope="session")
def fail_once(request: pytest.FixtureRequest) -> Callable[[str], NoReturn]:
    """Return the function that reports a fault once if it affects many tests."""
    return request.config.stash[REACHED].fail_once


@pytest.fixture(scope="session")
def address(host: Host, request: pytest.FixtureRequest) -> str | None:
    """Return the address of the host's own ports as seen from here; None if they cannot be reached."""
    return connection.address_of(
        host.backend.hostname, request.config.getoption("lab_inventory_ssh_config", None)
    )


@pytest.fixture(scope="session")
def expected(host: Host, request: pytest.FixtureRequest) -> dict:
    """Return the role variables that the host was provisioned with; empty if unknown."""
    return request.config.stash[EXPECTED][host.backend.hostname]


@pytest.hookimpl(optionalhook=True)
def pytest_metadata(metadata: dict[str, str], config: pytest.Config) -> None:
    """Show hosts and connection in the report's environment table instead of pytest's plugins."""
    metadata.clear()
    metadata |= {"Hosts": ", ".join(hosts_of(config)), "Connection": connection_of(config)}


@pytest.hookimpl(optionalhook=True)
def pytest_html_report_title(report: object) -> None:
    """Give the page a title instead of its file's name."""
    report.title = "uring-lab: verification"


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    """Put the table of the steps above the results."""
    config = session.config
    prefix.append(
        report.summary(
            {name: config.stash[EXPECTED][name] for name in hosts_of(config)},
            expectation.read_steps(config.getoption("lab_steps", None)),
            samples_of(config),
        )
    )
