"""What, when and where together, on balls whose states are known; and where they are as they sink."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from langfield.codec import Identity
from langfield.errors import QueryError
from langfield.field.at_time import at_time
from langfield.field.deform import deform
from langfield.field.types import LanguageShape
from langfield.query.event import GUESS, UNTOLD, EventAsker, EventSettings, active_at, views_of, where
from langfield.query.states import thing_scores, with_states
from langfield.suite.captions.store import Captions, ObjectCaptions
from langfield.suite.sentences import MiniLmSentences
from tests.events import STEP_S, TIMES, TURNS, cameras, captions, event_field, sinking, turning_net
from tests.suite.conftest import minilm, stored  # noqa: F401


@pytest.fixture(scope="module")
def encoder(minilm):  # noqa: F811
    return MiniLmSentences(minilm)


@pytest.fixture(scope="module")
def asker(encoder) -> EventAsker:
    return EventAsker(event_field(encoder), captions(encoder), encoder)


@pytest.mark.parametrize(
    ("sentence", "thing", "second"),
    [
        ("shining red ball", 0, False),
        ("Show me the moments in which the red ball has gone out.", 0, True),
        ("When is the green ball intact?", 1, False),
        ("the green ball after somebody has cut it apart", 1, True),
    ],
)
def test_sentences_find_thing_and_times(asker, sentence, thing, second):
    event = asker.ask(sentence)
    assert (event.verdict, event.thing) == ("found", thing)
    turn = TURNS[event.name]
    truth = (np.arange(TIMES) >= turn) == second
    assert (event.when.active == truth).mean() >= 0.95
    spans = event.data()["intervals"]
    assert len(spans) == 1
    assert spans[0]["first_s"] == pytest.approx(STEP_S * int(np.flatnonzero(event.when.active)[0]))
    assert event.data()["rewritten_to"][0]["thing"] == thing


@pytest.mark.parametrize("sentence", ["the red ball is folded up", "melted green ball", "When is the red ball wet?"])
def test_states_that_never_are_have_no_times(asker, sentence):
    event = asker.ask(sentence)
    assert event.verdict == "never"
    assert not event.when.active.any()
    assert event.data()["intervals"] == []


@pytest.mark.parametrize("sentence", ["die rote Kugel leuchtet", "红球亮了", "something shines brightly", "shining"])
def test_a_sentence_that_names_no_thing_is_never_found_for_sure(asker, sentence):
    event = asker.ask(sentence)
    assert event.verdict != "found"
    assert event.when.score < 0.5
    assert event.verdict == "never" or "names no thing" in event.when.note


def test_what_never_changes_is_so_all_the_time_or_never(asker):
    always = asker.ask("the blue ball rests on the table")
    assert always.verdict == "found"
    assert always.when.active.all()
    for state in ("is broken", "has toppled", "is lit"):
        event = asker.ask(f"the blue ball {state}")
        assert (event.thing, event.verdict) == (2, "never")


def test_a_choice_among_captions_by_a_model_that_chooses_none_is_never(asker):
    class Nobody:
        name, parallel, identity, provenance = "nobody", 1, {}, {}

        def caption(self, images, prompt):
            return '{"lines": []}'

    from langfield.suite.captions.prompting import load_prompt

    event = asker.ask("shining red ball", model=Nobody(), prompt=load_prompt("rewrite"))
    assert (event.verdict, event.rewritten.by) == ("never", "model")


def test_what_is_said_of_a_thing_at_a_time(asker):
    assert asker.state_at(0, 0.0)[0] == "The red ball is lit."
    assert asker.state_at(0, STEP_S * (TIMES - 1))[0] == "The red ball is off and dark."
    with pytest.raises(QueryError, match="nothing was said"):
        asker.state_at(7, 0.0)


def test_scores_are_cosines_with_the_state_at_each_time(asker):
    event = asker.ask("shining red ball")
    asked = asker.vocabulary.encoder.encode_texts(["The red ball is lit."])
    alike = thing_scores(asker.field, asked, event.times_s.tolist())[0, :, 0]
    assert np.corrcoef(alike, event.scores)[0, 1] > 0.99


def test_captions_of_another_field_are_refused(asker, encoder):
    more = Captions((ObjectCaptions(9, "x", "", {"a": "It is lit."}),))
    with pytest.raises(QueryError, match="things"):
        EventAsker(asker.field, more, encoder)
    with pytest.raises(QueryError, match="no states"):
        EventAsker(replace(asker.field, status_tracks=None), captions(encoder), encoder)
    with pytest.raises(QueryError, match="encoder"):
        EventAsker(replace(asker.field, caption_codec=Identity(8)), captions(encoder), encoder)


def test_masks_follow_the_thing_down(encoder):
    field = event_field(encoder, sinking())
    views = cameras()
    first = {"a": views["000.png"], "b": replace(views["000.png"], time_s=STEP_S * (TIMES - 1))}
    above, below = list(where(field, 0, first, None))
    rows = [np.nonzero(seen.sight.mask)[0].mean() for seen in (above, below)]
    assert rows[1] > rows[0] + 10
    small = next(iter(where(field, 0, first, 48)))
    assert small.sight.mask.shape == (36, 48)
    with pytest.raises(QueryError, match="no thing 3"):
        next(iter(where(field, 3, first)))


def test_views_of_an_event_are_those_of_its_times(asker):
    event = asker.ask("shining red ball")
    names = list(views_of(event, {**cameras(), "still": replace(cameras()["000.png"], time_s=None)}))
    assert names == [f"{t:03d}.png" for t in range(TURNS["red ball"])]
    late = active_at(event, [-5.0, 0.0, 100.0])
    assert late.tolist() == [True, True, False]


def test_the_shape_of_language_moves_with_the_gaussians(encoder):
    field = event_field(encoder, sinking())
    g = field.gaussians
    own = LanguageShape(g.quats.roll(1, 1), g.log_scales - 1, g.logit_opacities - 2)
    moved = at_time(replace(field, language=own), 2.0)
    alone = deform(replace(g, quats=own.quats, log_scales=own.log_scales), field.deformation, 2.0)
    assert moved.language is not None
    assert torch.equal(moved.language_gaussians.means, deform(g, field.deformation, 2.0).means)
    assert torch.equal(moved.language.quats, alone.quats)
    assert torch.equal(moved.language.log_scales, alone.log_scales)


def test_the_network_answers_where_there_are_no_tracks(encoder):
    field = replace(event_field(encoder, sinking()), status_net=turning_net(encoder))
    alone = replace(field, status_tracks=None)
    times_s = [STEP_S * t for t in range(TIMES)]
    told = with_states(alone, times_s)
    assert told.status_tracks is not None
    assert field.status_tracks is not None
    assert torch.equal(told.status_tracks.owner, field.status_tracks.owner)
    asker = EventAsker(told, captions(encoder), encoder)
    for sentence, name, second in [("shining red ball", "red ball", False), ("broken green ball", "green ball", True)]:
        event = asker.ask(sentence)
        assert (event.verdict, event.name) == ("found", name)
        assert event.when.active.tolist() == ((np.arange(TIMES) >= TURNS[name]) == second).tolist()


def test_which_states_tell_can_be_chosen(encoder):
    field = replace(event_field(encoder, sinking()), status_net=turning_net(encoder))
    assert with_states(field, [0.0], "tracks") is field
    told = with_states(field, [0.0, 1.0]).status_tracks
    assert told is not None
    assert told.times_s.tolist() == [0.0, 1.0]
    with pytest.raises(QueryError, match="no states net"):
        with_states(replace(field, status_net=None), [0.0], "net")
    with pytest.raises(QueryError, match="no states"):
        with_states(replace(field, status_tracks=None), [0.0], "tracks")
    with pytest.raises(QueryError, match="at which times"):
        with_states(field, [])
    with pytest.raises(QueryError, match="no things"):
        with_states(replace(field, status_tracks=None, instances=None), [0.0])


def test_where_captions_of_several_states_fit_alike_the_times_are_a_guess_or_not_told(asker):
    nearly = EventSettings(temperature=5.0)  # all captions of the thing stand for the question almost equally
    event = asker.ask("shining red ball", nearly)
    assert (event.verdict, event.when.note) == ("unsure", GUESS)
    assert event.when.active.tolist() == (np.arange(TIMES) < TURNS["red ball"]).tolist()
    assert all(0 < i.confidence <= 1 for i in event.when.intervals)
    assert not asker.ask("melted green ball", nearly).when.active.any()
    untold = asker.ask("shining red ball", EventSettings(temperature=50.0))
    assert (untold.verdict, untold.when.note, untold.when.intervals) == ("unsure", UNTOLD, ())
