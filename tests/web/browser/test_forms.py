"""Forms as a person fills them in: the PIN under the scratch layer, a report with a photograph."""

from __future__ import annotations

import struct
import zlib

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.support.service import World
from tests.web.browser.conftest import Surfer, shoot
