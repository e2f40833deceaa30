#!/usr/bin/env python3
"""Writes tests/data/prices.json: the costs that an installed MLflow computes for a choice of calls.

    scripts/price_cases.py [--random N] [--out FILE]

Run it with the Python of an MLflow whose release is that of data/prices/.
"""
import argparse
import json
import os
import random

os.environ["MLFLOW_MODEL_CATALOG_URI"] = ""  # the catalogue of the package, not today's

from mlflow.tracing.utils import calculate_cost_by_model_and_token_usage  # noqa: E402
from mlflow.utils.providers import _list_provider_names, _load_bundled_provider  # noqa: E402

KEYS = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation_input_tokens_above_1hr"]
PLAIN = {"input_tokens": 1000, "output_tokens": 333}
CHOSEN = [
    ("gpt-4o-mini", "openai"), ("gpt-4o-mini", "OpenAI"), ("gpt-4o-mini", None), ("gpt-4o-mini", ""), ("gpt-4o-mini", "nobody"), ("GPT-4o-mini", "openai"), (" gpt-4o-mini", "openai"),
    ("openai/gpt-4o-mini", None), ("anything/gpt-4o-mini", "openai"), ("a/b/gpt-4o-mini", "openai"), ("mistral-large-latest", None), ("mistral-large-latest", "mistral"), ("claude-sonnet-4-5", "anthropic"),
    ("databricks-claude-sonnet-4", None), ("databricks/databricks-claude-sonnet-4", None), ("databricks-unknown", None), ("gateway:/gpt-4o-mini", "openai"), ("endpoints:/gpt-4o-mini", None),
    ("", "openai"), ("unknown-model", "openai"), ("unknown-model", None), ("dall-e-3", "openai"), ("1024-x-1024/dall-e-3", None), ("text-embedding-3-small", None), ("/gpt-4o-mini", None), ("gpt-4o-mini/", None),
]
USAGES = [
    {}, {"input_tokens": 0, "output_tokens": 0}, {"output_tokens": 7}, {"input_tokens": 7}, {"input_tokens": True, "output_tokens": False}, {"input_tokens": 1.5, "output_tokens": 2}, {"input_tokens": "7"},
    {"input_tokens": None, "output_tokens": 1}, {"input_tokens": 1, "output_tokens": None}, {"input_tokens": [1], "output_tokens": 1}, {"input_tokens": 1, "output_tokens": "1"}, {"input_tokens": -5, "output_tokens": 1},
    {"input_tokens": 10, "cache_read_input_tokens": 20}, {"input_tokens": 100, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30}, {"input_tokens": 100, "cache_read_input_tokens": None},
    {"input_tokens": 100, "cache_read_input_tokens": ""}, {"input_tokens": 100, "cache_read_input_tokens": "5"}, {"input_tokens": 100, "cache_read_input_tokens": []}, {"input_tokens": 100, "cache_read_input_tokens": -3},
    {"input_tokens": 100, "cache_creation_input_tokens": 40, "cache_creation_input_tokens_above_1hr": 15}, {"input_tokens": 100, "cache_creation_input_tokens": 10, "cache_creation_input_tokens_above_1hr": 15},
    {"input_tokens": 100, "cache_creation_input_tokens_above_1hr": 15}, {"input_tokens": 100, "cache_creation_input_tokens_above_1hr": "x"}, {"input_tokens": 10**30, "output_tokens": 1}, {"input_tokens": 10**400, "output_tokens": 1},
    {"input_tokens": 2**53 + 1, "output_tokens": 2**63}, {"total_tokens": 9}, {"input_tokens": 1e-9, "output_tokens": 0.0},
]


def cost(model, provider, usage):
    try:
        costs = calculate_cost_by_model_and_token_usage(model, usage, provider)
    except Exception:  # MLflow's caller swallows it
        return None
    return costs and [repr(costs[key]) for key in ("input_cost", "output_cost", "total_cost")]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--random", type=int, default=200)
    arguments.add_argument("--out", default="tests/data/prices.json")
    options = arguments.parse_args()
    rng = random.Random(20261120)
    models = [(name, provider) for provider in _list_provider_names() for name in _load_bundled_provider(provider)]
    calls = [(model, provider, PLAIN) for model, provider in CHOSEN] + [("claude-sonnet-4-5", "anthropic", usage) for usage in USAGES]
    for _ in range(options.random):
        model, provider = rng.choice(models)
        usage = {key: rng.choice([0, 1, rng.randrange(100), rng.randrange(10**6)]) for key in KEYS[: rng.choice([2, 2, 3, 4, 5])]}
        calls.append((model, rng.choice([provider, None, provider.upper()]), usage))
    rows = [json.dumps([model, provider, json.dumps(usage), cost(model, provider, usage)]) for model, provider, usage in calls]
    with open(options.out, "w", encoding="utf-8") as out:
        out.write("[\n " + ",\n ".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
