"""A model that was trained is put to use: who is screened from then on is weighed by it."""

from dataclasses import replace

import pytest

from services.dedup import __main__ as program
from services.dedup import commands, queries
from services.dedup.rules import model

SERVICE = "dedup"


def test_the_newest_model_weighs(connection):
    assert queries.yardstick(connection).model == model.default()
    own = replace(model.default(), name="of this state", prior=1e-9)
    commands.put_to_use(connection, own)
    assert queries.yardstick(connection).model == own
    commands.put_to_use(connection, model.default())
    assert queries.yardstick(connection).model == model.default()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"nothing", "holds no model"),
        (model.dump(replace(model.default(), version=99)), "version 99"),
        (model.dump(replace(model.default(), normaliser=0)), "keyed otherwise"),
    ],
    ids=["no model", "of another version", "of other keys"],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path, content, says):
    file = tmp_path / "model.json.gz"
    file.write_bytes(content)
    with pytest.raises(SystemExit, match=says):
        program.use(file)
