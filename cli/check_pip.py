"""Run by firn in an image, with its Python: pip check, where the image has pip."""
import importlib.util
import runpy
import sys

if importlib.util.find_spec("pip") is None:
    print("the image has no pip: nothing to ask")
    sys.exit(0)
sys.argv = ["pip", "--disable-pip-version-check", "--no-input", "check"]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
