from consumers.runtime.warm import _sample
from encoder.restart.policies import Always
from stream.engine.engine import Engine
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import drain


def test_what_fills_the_cache_is_labelled_in_slices_too():
    engine = Engine(FakeLabeller(), Always())
    for offset, message in enumerate(_sample()):
        engine.submit(message, offset)
    drain(engine)
    assert engine.sliced.slices > 0
