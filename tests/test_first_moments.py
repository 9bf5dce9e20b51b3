"""Ctrl-C before a command has begun: while its modules are still being loaded."""

import importlib
import sys
from importlib.abc import MetaPathFinder

import pytest


class CtrlC(MetaPathFinder):
    """Interrupts whoever loads a module."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, fullname, path, target=None):
        if fullname == self.name:
            raise KeyboardInterrupt


@pytest.mark.parametrize("package", ["archiver", "reports"])
def test_ctrl_c_while_a_command_loads_is_130_and_no_traceback(monkeypatch, package):
    command = importlib.import_module(f"{package}.__main__")
    monkeypatch.delitem(sys.modules, f"{package}.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [CtrlC(f"{package}.cli"), *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        command.main()

    assert ended.value.code == 130
