"""The verification of provisioned hosts: options, the hosts themselves, the report.

Alone: `pytest tests/verify --lab-hosts=box --lab-inventory-ssh-config=FILE`. Nothing on a host is changed.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from testinfra.host import Host

from tests.verify import connection, expectation, judges, report

#: The files in the order of the steps, which is the order in which a reader wants to hear of faults.
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
        "--lab-expect", metavar="FILE", help="JSON of the role variables that the hosts were provisioned with"
    )
    group.addoption("--lab-steps", metavar="FILE", help="JSON of what each step did, for the report")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse what cannot work before anything is collected."""
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
        config.stash[EXPECTED] = expectation.read_json(config.getoption("lab_expect", None), dict)
        expectation.read_steps(config.getoption("lab_steps", None))
        expectation.read_catalog(config.stash[EXPECTED])
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


def connection_of(config: pytest.Config) -> str:
    """Return the connection to use."""
    return config.getoption("connection") or connection.CONNECTIONS[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test once a host (one xdist worker each), the samples' once a sample or a case."""
    if "host" in metafunc.fixturenames:
        hosts = [
            pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in hosts_of(metafunc.config)
        ]
        metafunc.parametrize("host", hosts, indirect=True, scope="session")
    if "sample" in metafunc.fixturenames:
        wanted = metafunc.definition.get_closest_marker("samples")
        samples = expectation.read_catalog(metafunc.config.stash[EXPECTED])
        chosen = [
            sample for sample in samples if all(sample[key] == value for key, value in wanted.kwargs.items())
        ]
        if "case" in metafunc.fixturenames:
            pairs = [(sample, case) for sample in chosen for case in judges.cases(sample)]
            ids = [f"{expectation.label(sample)}: {case}" for sample, case in pairs]
            metafunc.parametrize(("sample", "case"), pairs, ids=ids)
        else:
            metafunc.parametrize("sample", chosen, ids=expectation.label)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that says which samples a test is about."""
    config.addinivalue_line(
        "markers", "samples(**fields): run the test for the catalog's samples with these fields"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put a host's tests in the order of the steps; hosts stay together."""

    def place(item: pytest.Item) -> tuple[int, int]:
        hosts = hosts_of(item.config)
        return hosts.index(item.callspec.params["host"]), ORDER.index(item.path.stem.removeprefix("test_"))

    items.sort(key=lambda item: place(item) if "host" in getattr(item, "fixturenames", ()) else (0, 0))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Go on only with a host that can be reached."""
    if "host" in item.fixturenames:
        item.config.stash[REACHED].require(item.callspec.params["host"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell a failure by its message and the reason for the test; the code comes with -vv.

    Nothing in it that came from a host can steer the terminal: tracebacks and captured output are cleaned.
    """
    result = yield
    if result.failed and call.excinfo.errisinstance(AssertionError) and item.config.get_verbosity() < 2:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        why = judges.reason(given["sample"], given["case"]) if "case" in given else item.function.__doc__
        result.longrepr = report.failure(str(call.excinfo.value), why)
    hook = item.config.hook
    content = hook.pytest_report_to_serializable(config=item.config, report=result)
    return hook.pytest_report_from_serializable(config=item.config, data=report.cleaned(content))


class Reached:
    """The hosts of this run, each connected to once."""

    class State(NamedTuple):
        """A host, and why it cannot be used (None: it can)."""

        host: Host
        fault: str | None

    def __init__(self, config: pytest.Config) -> None:
        self._connection = connection_of(config)
        self._ssh_config = config.getoption("lab_inventory_ssh_config", None)
        self._sockets = connection.control_directory()
        self._told: set[str] = set()
        self._states: dict[str, Reached.State] = {}

    def require(self, name: str) -> None:
        """Let a test go on only if its host can be used."""
        if name not in self._states:
            self._states[name] = self._reach(name)
        if fault := self._states[name].fault:
            self.fail_once(fault)

    def fail_once(self, fault: str) -> NoReturn:
        """Fail the first test that a fault keeps from running, and skip the others, each with the reason."""
        if fault in self._told:
            pytest.skip(f"not checked, because: {fault}")
        self._told.add(fault)
        pytest.fail(fault, pytrace=False)

    def _reach(self, name: str) -> State:
        host = connection.open_host(name, self._connection, self._ssh_config, self._sockets.name)
        try:
            connection.reach(host)
        except connection.UnreachableError as problem:
            return Reached.State(host, str(problem))
        return Reached.State(host, None)

    def get(self, name: str) -> Host:
        """Return a host that `require` let pass."""
        return self._states[name].host

    def close(self) -> None:
        """Close all connections."""
        for state in self._states.values():
            if not state.fault:
                connection.close_host(state.host)
        self._sockets.cleanup()


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> Host:
    """Give the host under verification; its commands run as root."""
    return request.config.stash[REACHED].get(request.param)


@pytest.fixture(scope="session")
def fail_once(request: pytest.FixtureRequest) -> Callable[[str], NoReturn]:
    """Give the function by which a fault that many tests run into is told once."""
    return request.config.stash[REACHED].fail_once


@pytest.fixture(scope="session")
def address(host: Host, request: pytest.FixtureRequest) -> str | None:
    """Give the address at which the host's ports would be reached from here; None if there is none."""
    return connection.address_of(
        host.backend.hostname, request.config.getoption("lab_inventory_ssh_config", None)
    )


@pytest.fixture(scope="session")
def expected(request: pytest.FixtureRequest) -> dict:
    """Give the role variables that the hosts were provisioned with; empty if nobody said."""
    return request.config.stash[EXPECTED]


@pytest.hookimpl(optionalhook=True)
def pytest_metadata(metadata: dict[str, str], config: pytest.Config) -> None:
    """Say in the report's table of the environment what matters here, in place of pytest's plugins."""
    metadata.clear()
    metadata |= {"Hosts": ", ".join(hosts_of(config)), "Connection": connection_of(config)}


@pytest.hookimpl(optionalhook=True)
def pytest_html_report_title(report: object) -> None:
    """Give the page a title instead of its file's name."""
    report.title = "uring-lab: verification"


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    """Put what was done, and to which hosts, above the results."""
    config = session.config
    prefix.append(
        report.summary(
            config.stash[EXPECTED],
            expectation.read_steps(config.getoption("lab_steps", None)),
            expectation.read_catalog(config.stash[EXPECTED]),
        )
    )
