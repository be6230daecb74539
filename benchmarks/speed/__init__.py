"""Every fast algorithm against its naive form and the packages that people use, with bars to pass."""


def main(argv: list[str]) -> int:
    """``python -m benchmarks speed``; imported late, so that the peers' environment can import this package."""
    from benchmarks.speed.command import main as run

    return run(argv)
