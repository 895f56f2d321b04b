import numpy as np
import pytest

from thawline.data.value_range import ValueRange, WideImage, range_of, to_8_bit


def ramp(low: float, high: float, dtype: str = "float64") -> WideImage:
    return WideImage(np.linspace(low, high, 4096).reshape(64, 64).astype(dtype))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, (0, 1)),
        (0, 0.9, (0, 1)),
        (3, 230, (0, 255)),
        (0, 4000, (0, 4095)),
        (100, 60000, (0, 65535)),
    ],
)
def test_usual_ranges_are_taken_as_they_are(low: float, high: float, expected: tuple[float, float]) -> None:
    assert range_of([ramp(low, high)]) == expected


@pytest.mark.parametrize(("low", "high"), [(-1000, 2000), (20000, 21000), (0, 1.04), (0, 80), (-5, -2)])
def test_other_ranges_come_from_percentiles(low: float, high: float) -> None:
    value_range = range_of([ramp(low, high)])
    assert value_range.low == pytest.approx(low, abs=0.002 * (high - low))
    assert value_range.high == pytest.approx(high, abs=0.002 * (high - low))


def test_a_set_has_one_range() -> None:
    assert range_of([ramp(0, 500), ramp(0, 3000)]) == ValueRange(0, 4095)


def test_a_hot_pixel_does_not_decide() -> None:
    values = np.tile(np.linspace(0, 1000, 64), (64, 1))
    values[3, 3] = 60000
    assert range_of([WideImage(values)]) == ValueRange(0, 1023)


def test_windows_of_the_files_are_the_range_where_all_have_one() -> None:
    images = [WideImage(np.zeros((2, 2)), window=ValueRange(low, 100.0)) for low in (-10.0, 0.0, 30.0)]
    assert range_of(images) == ValueRange(0.0, 100.0)


def test_constant_images_have_a_range() -> None:
    assert range_of([WideImage(np.zeros((4, 4)))]) == ValueRange(0, 1)
    assert np.asarray(to_8_bit(WideImage(np.full((4, 4), 7.0)), range_of([WideImage(np.full((4, 4), 7.0))]))).max() > 0


def test_values_that_are_no_numbers_are_low() -> None:
    image = WideImage(np.array([[np.nan, np.inf, -np.inf, 5.0]]))
    assert np.asarray(to_8_bit(image, ValueRange(0, 10)))[0, :, 0].tolist() == [0, 255, 0, 128]
