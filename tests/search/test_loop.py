import pytest
from nasgtn.search import SAMPLERS, SearchConfig


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_evaluates_as_many_distinct_architectures_as_asked(make_search, sampler: str) -> None:
    searched = make_search(SearchConfig(trials=12, sampler=sampler))
    searched.go_on()
    assert len({r.architecture_id for r in searched.records}) == 12
    print(searched.history[:2], len(searched.history))
