"""Lists of members and points, as people paste them or send them as files."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.point_lines import Fault, Wanted, read_pasted, read_points, read_rows


def test_a_pasted_list_is_read_line_by_line() -> None:
    pasted = "C1\nC2\t1,500\n\n C3 , 20 \nC2 7\nC4 -5\nC5;0\nC6，8\n"
    wanted, faults = read_pasted(pasted, 10)
    assert wanted == [Wanted(1, "C1", 10), Wanted(2, "C2", 1_500), Wanted(4, "C3", 20), Wanted(8, "C6", 8)]
    assert faults == [Fault(5, "C2", "twice"), Fault(6, "C4", "points"), Fault(7, "C5", "points")]
    assert read_pasted("C1", None)[1] == [Fault(1, "C1", "missing")]


def test_a_file_may_name_its_columns_or_not_and_keeps_its_numbers() -> None:
    named = [
        (1, ["Name", "Points", "Code"]),
        (2, ["Li", "5", "C1"]),
        (4, ["Wu", "", "C2"]),
        (5, ["", "x", "C3"]),
    ]
    wanted, faults = read_rows(named, 9)
    assert (wanted, faults) == ([Wanted(2, "C1", 5), Wanted(4, "C2", 9)], [Fault(5, "C3", "points")])
    assert read_rows([(1, ["C1", "5"]), (3, ["C2"])], 9)[0] == [Wanted(1, "C1", 5), Wanted(3, "C2", 9)]
    assert read_rows([], 9) == ([], [])


@given(st.text(max_size=20))
def test_points_are_whole_and_above_nothing_or_none_at_all(typed: str) -> None:
    points = read_points(typed)
    assert points is None or 0 < points <= 10**12
    assert read_points(f" {12_345:,} ") == 12_345
