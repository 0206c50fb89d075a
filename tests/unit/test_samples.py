"""The sample bodies: what the endpoint reads in them."""

import datetime as dt

import pytest

from supatoss.inbox.event import EventStatus
from supatoss.inbox.interpret import interpret
from supatoss.toss.delivery import read_body
from supatoss.toss.events import TYPES, MalformedEvent, parse_event
from supatoss.toss.samples import FROM_THE_GUIDE, SAMPLES, SIGNED_BY_TOSS, SampleSubject, make_body, to_bytes

NOW = dt.datetime(2026, 3, 14, 23, 30, tzinfo=dt.UTC)


def test_every_event_that_is_known_has_a_sample() -> None:
    assert list(SAMPLES) == list(TYPES)
    assert len(FROM_THE_GUIDE) == 5
    assert set(SAMPLES) - FROM_THE_GUIDE > SIGNED_BY_TOSS


@pytest.mark.parametrize("event_type", SAMPLES)
def test_a_sample_is_read_as_its_event(event_type: str) -> None:
    event = parse_event(read_body(to_bytes(make_body(event_type, SampleSubject.new(NOW)))).fields)
    assert not isinstance(event, MalformedEvent)
    assert type(event) is TYPES[event_type]
    assert interpret(event).status is not EventStatus.FAILED


@pytest.mark.parametrize("event_type", sorted(set(SAMPLES) - FROM_THE_GUIDE))
def test_events_of_toss_carry_the_korean_time_and_the_guide_s_carry_none(event_type: str) -> None:
    event = parse_event(make_body(event_type, SampleSubject.new(NOW)))
    assert event.created_at == NOW


def test_events_of_one_subject_are_about_one_order_and_no_two_subjects_share_one() -> None:
    one, other = SampleSubject.new(NOW), SampleSubject.new(NOW)
    callback, payment = make_body("DEPOSIT_CALLBACK", one), make_body("PAYMENT_STATUS_CHANGED", one)
    assert callback["orderId"] == payment["data"]["orderId"]
    assert callback["secret"] == payment["data"]["secret"]
    assert one.order_id != other.order_id
    assert len(one.order_id) <= 64
