"""Text updates in, label revisions out. Knows nothing of Kafka, HTTP or vendors' formats."""

import encoder  # noqa: F401 - what it sets is to hold for the kernels of this package too
