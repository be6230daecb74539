"""How numbers of metrics are written."""

from distil.evaluation.units import FRACTION, Unit


def test_fractions_are_percentages_and_others_have_significant_digits():
    assert [FRACTION.text(0.52345, decimals) for decimals in (1, 2)] == ["52.3", "52.34"]
    assert FRACTION.text(0.012, 2, signed=True) == "+1.20"
    assert (FRACTION.scale, FRACTION.sign, FRACTION.mark) == (100, 1, " %")
    number = Unit(fraction=False, higher_is_better=False)
    assert (number.scale, number.sign, number.mark) == (1, -1, "")
    for x, text in [
        (0.52345, "0.523"),
        (-12.345, "-12.3"),
        (1234.5, "1234"),
        (123456.7, "123457"),
        (0.00049, "0.000490"),
        (0.0, "0.00"),
        (2.5e8, "2.50e+08"),
        (1.234e-6, "1.23e-06"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ]:
        assert number.text(x) == text, x
    assert number.text(0.0004902, 2, signed=True, like=0.9973) == "+0.0005"
    assert number.text(3.0, 2, like=1234.5) == "3"
