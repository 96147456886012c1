"""Floating point operations of a step, counted from its plan."""

from encoder.heads.stability_head import FEATURES
from encoder.model.config import HybridConfig
from encoder.runtime.passes import PassPlan


def count_flops(config: HybridConfig, plan: PassPlan) -> int:
    """Count the floating point operations of a step: linears, attention products and head."""
    _, keep, count, window, restart = plan.requests.T
    n = keep + count
    computed = n - restart
    pairs = config.causal_layers * (n * (n + 1) - keep * (keep + 1)) // 2
    pairs = pairs + config.tail_layers * computed * (n - window)
    linear = 2 * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    tokens = config.causal_layers * count + config.tail_layers * computed
    embedded = 2 * (config.embedding or 0) * config.hidden * count
    stability = len(config.label_sets) * 2 * config.stability * (FEATURES + 2)  # beyond its columns of the head
    head = (2 * config.hidden * config.columns + stability) * computed
    return int((tokens * linear + pairs * 4 * config.hidden + embedded + head).sum())
