from profiles import place
from profiles.host import available_cores


def test_default_threads_are_the_available_cores():
    assert place.cpu().threads == available_cores()


def test_core_spans():
    assert place._spans((0, 1, 2, 5)) == "0-2,5"
