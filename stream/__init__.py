"""Text updates in, label revisions out. Knows nothing of Kafka, HTTP or vendors' formats."""

import encoder  # noqa: F401 - its settings for compiled kernels must be in force before those of this package
