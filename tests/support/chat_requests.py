"""Chat completion requests loaded by their schema, and the mistakes in them."""

import pytest
from marshmallow import ValidationError

from wrapper.schemas.base import code_of, first_error
from wrapper.schemas.chat.request import CHAT_REQUEST


def mistake_in(body):
    """Return the param and the code of the mistake in *body*."""
    with pytest.raises(ValidationError) as caught:
        CHAT_REQUEST.load(body)
    param, message = first_error(caught.value.normalized_messages())
    assert message
    return param, code_of(message)
