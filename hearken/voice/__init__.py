"""Labels inside voice frameworks: `hearken.voice.pipecat` and `hearken.voice.livekit`.

What both share is here and knows neither framework: transcripts become messages (`transcripts`), these are labelled in
tasks of their own, so that the frameworks never wait (`labeller`), and texts are redacted (`redactor`), in this process
(`source`) or by a server (`server`). docs/voice.md is the guide.
"""

from hearken.voice.labeller import SegmentLabels
from hearken.voice.redactor import HIDDEN
from hearken.voice.source import LabelSource, ModelSource, make_source
from hearken.voice.transcripts import Heard

__all__ = ["HIDDEN", "Heard", "LabelSource", "ModelSource", "SegmentLabels", "make_source"]
