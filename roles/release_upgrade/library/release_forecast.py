"""Module: what an upgrade by other sources would do."""

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: release_forecast
short_description: What an upgrade by other sources would do
description:
  - Works out apt's C(dist-upgrade) with the lists of a private apt, not the host's own, and says what
    it would install, upgrade and remove, and the space that it takes. Changes nothing.
  - The environment variable C(APT_CONFIG) names the configuration of that apt, as for apt itself.
  - Needs python3-apt, as Ansible's own apt module does.
"""

RETURN = """
upgraded:
  description: The names of the packages that would be upgraded.
  type: list
installed:
  description: The names of the packages that would be new.
  type: list
removed:
  description: The names of the packages that would be removed.
  type: list
held:
  description: The names of the packages that are held, which an upgrade leaves as they are.
  type: list
kept_back:
  description: The names of those that are not held and yet stay, mostly for the sake of one that is.
  type: list
kept_back_required:
  description: Those of them that the system cannot do without, by their priority.
  type: list
download_mib:
  description: What is to be fetched, in MiB.
  type: int
space_mib:
  description: What the installed packages would take besides, in MiB; negative where it gets less.
  type: int
problem:
  description: Why apt finds no way, or an empty string.
  type: str
"""

MIB = 1024 * 1024


def forecast(apt, apt_pkg):
    """Return what the module returns. Raises SystemError (python3-apt's) where lists cannot be read."""
    cache = apt.Cache()
    problem = ""
    try:
        cache.upgrade(dist_upgrade=True)
    except SystemError as error:
        problem = str(error)
    changes = cache.get_changes()
    # public in no release of python3-apt
    held = [package for package in cache if package._pkg.selected_state == apt_pkg.SELSTATE_HOLD]
    kept_back = [
        package
        for package in cache
        if package.is_upgradable
        and package not in held
        and not (package.marked_upgrade or package.marked_delete)
    ]
    return {
        "upgraded": sorted(package.name for package in changes if package.marked_upgrade),
        "installed": sorted(package.name for package in changes if package.marked_install),
        "removed": sorted(package.name for package in changes if package.marked_delete),
        "held": sorted(package.name for package in held),
        "kept_back": sorted(package.name for package in kept_back),
        "kept_back_required": sorted(
            package.name for package in kept_back if package.candidate.priority == "required"
        ),
        "download_mib": cache.required_download // MIB,
        "space_mib": cache.required_space // MIB,
        "problem": problem,
    }


def main():
    """Run the module."""
    module = AnsibleModule({}, supports_check_mode=True)
    try:
        import apt
        import apt_pkg
    except ImportError:
        module.fail_json(msg="python3-apt, by which apt is asked, is missing: `apt-get install python3-apt`")
    try:
        module.exit_json(changed=False, **forecast(apt, apt_pkg))
    except SystemError as error:
        module.fail_json(msg="apt cannot read what it has fetched: %s" % error)


if __name__ == "__main__":
    main()
