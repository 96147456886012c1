"""Labels inside voice frameworks: `hearken.voice.pipecat` and `hearken.voice.livekit`.

What both share is here and knows neither framework: transcripts become messages (`transcripts`), these are labelled in
tasks of their own, so that the frameworks never wait (`labeller`), and texts are redacted (`redactor`), in this process
or by a server (`sources`). docs/voice.md is the guide.
"""

from hearken.voice.label_source import LabelSource
from hearken.voice.labeller import SegmentLabels
from hearken.voice.model_source import ModelSource
from hearken.voice.redactor import HIDDEN
from hearken.voice.server_source import ServerSource
from hearken.voice.sources import make_source
from hearken.voice.transcripts import Heard

__all__ = ["HIDDEN", "Heard", "LabelSource", "ModelSource", "SegmentLabels", "ServerSource", "make_source"]
