"""``python -m benchmarks NAME ...`` runs one benchmark; without a name it lists them."""

import importlib
import pkgutil
import sys

import benchmarks


def main() -> int:
    """Run the benchmark named on the command line with the remaining arguments."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.stdout.write("usage: python -m benchmarks NAME ...\n\n")
        for name in names:
            doc = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
            sys.stdout.write(f"  {name:16} {doc.splitlines()[0]}\n")
        return 2
    return importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]) or 0


sys.exit(main())
