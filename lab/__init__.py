"""Disposable hosts: virtual machines and containers made from the archive that this computer trusts."""
