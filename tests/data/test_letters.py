"""The page of letters: each stands where it is said to stand."""

import numpy as np
import pytest

from evalib.data.letters import Line, draw_page


def test_letters_stand_where_the_page_says():
    page, letters = draw_page([Line("ox"), Line(" l", size=30, degrees=90)], width=80, leading=40)
    assert (page.shape, page.min(), page.max()) == ((80, 80), 0, 1)
    assert [(letter.character, letter.line) for letter in letters] == [("o", 0), ("x", 0), ("l", 1)]
    for letter in letters[:2]:
        around = page[:40, round(letter.column) - 8 : round(letter.column) + 9]
        rows, columns = np.indices(around.shape)
        assert (rows * around).sum() / around.sum() == pytest.approx(letter.row, abs=1)
        assert (columns * around).sum() / around.sum() == pytest.approx(8, abs=1)
    # A turned l lies down: wider than high.
    rows, columns = np.nonzero(page[40:] > 0.5)
    assert np.ptp(columns) > 1.5 * np.ptp(rows)
    with pytest.raises(ValueError, match="at most 50 pixels, got 'abcdef'"):
        draw_page([Line("abcdef")], width=50)
