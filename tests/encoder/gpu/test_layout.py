"""The packed list of tokens, made on the device, against the host's (`encoder.runtime.paged_cache`)."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.encoder.gpu.test_kernels import device
from tests.encoder.gpu.where import some

# isort: split
from encoder.runtime.gpu.launch import QUERIES
from encoder.runtime.gpu.row_layout import BLOCKS, ROWS, lay_out
from encoder.runtime.paged_cache import prefix_rows, tail_rows
from encoder.runtime.passes import PassPlan

REQUESTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 2, 7, 40]), st.integers(0, 9), st.integers(0, 9)), max_size=6
)


@some(8)
@given(drawn=REQUESTS, spare=st.integers(0, 9))
def test_rows_are_those_of_the_host(drawn: list[tuple[int, int, int, int]], spare: int) -> None:
    # slot, keep, count, window, restart, with window <= restart <= keep
    wanted = [(i, a + b + c, k, a, a + b) for i, (a, k, b, c) in enumerate(drawn)]
    requests = np.array(wanted, np.int64).reshape(-1, 5)
    _, keep, count, window, restart = requests.T
    for tail in (False, True):
        host = (tail_rows if tail else prefix_rows)(PassPlan(requests, np.zeros(count.sum(), np.int32), 0))
        begin, end = restart if tail else keep, keep + count
        room = np.full(2, 99)  # requests that there is room for, and that are not there
        numbers = [device(np.concatenate((x, room))) for x in (begin, end, window)]
        got = lay_out(device([len(drawn)]), *numbers[:2], numbers[2] if tail else None, len(host) + spare)
        assert got.totals.tolist()[ROWS] == len(host)
        for name in ("position", "first", "last"):
            assert np.array_equal(getattr(got, name)[: len(host)].cpu().numpy(), getattr(host, name))
        sequence = np.repeat(np.arange(len(drawn)), end - begin)
        assert np.array_equal(got.sequence[: len(host)].cpu().numpy(), sequence)
        covered = [
            (request, row + i)
            for request, row, height in got.blocks[: got.totals.tolist()[BLOCKS]].tolist()
            for i in range(height)
            if 0 < height <= QUERIES
        ]
        assert covered == list(zip(sequence.tolist(), range(len(host)), strict=True))
