#!/usr/bin/env python3
"""Condenses the model catalogue of an installed MLflow into a price file.

    scripts/prices.py SITE_PACKAGES > data/prices/mlflow-VERSION.json

SITE_PACKAGES is the folder that holds `mlflow/`. Keeps every model, also one without prices: whether
a model is listed decides which provider's price is taken. One model per line, for readable diffs.
"""
import glob
import json
import os
import re
import sys

RATES = {
    "input_per_million_tokens": "input",
    "output_per_million_tokens": "output",
    "cache_read_per_million_tokens": "cache_read",
    "cache_write_per_million_tokens": "cache_write",
    "cache_write_1hr_per_million_tokens": "cache_write_1hr",
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    site = sys.argv[1]
    with open(os.path.join(site, "mlflow", "version.py"), encoding="utf-8") as file:
        version = re.search(r'VERSION = "(.+)"', file.read())[1]
    providers, newest = {}, ""
    for path in glob.glob(os.path.join(site, "mlflow", "utils", "model_catalog", "*.json")):
        with open(path, encoding="utf-8") as file:
            catalogue = json.load(file)
        if catalogue["schema_version"] != "1.0":
            sys.exit(f"{path}: schema {catalogue['schema_version']} is unknown; see whether the prices mean the same")
        models = providers[os.path.basename(path).removesuffix(".json")] = {}
        for name, entry in catalogue["models"].items():
            # MLflow passes over an empty entry in its search, which the price file cannot express.
            if not entry:
                sys.exit(f"{path}: {name} is an empty entry")
            prices = entry.get("pricing") or {}
            models[name] = {short: prices[long] for long, short in RATES.items() if prices.get(long) is not None}
            newest = max(newest, entry.get("last_updated_at") or "")
    about = {
        "source": f"https://github.com/mlflow/mlflow/tree/v{version}/mlflow/utils/model_catalog",
        "mlflow_version": version,
        "date": newest,
        "license": "Apache-2.0, Copyright 2018 Databricks, Inc.",
        "unit": "US dollars per million tokens",
    }
    print('{\n "about": ' + json.dumps(about) + ',\n "providers": {')
    blocks = []
    for provider, models in sorted(providers.items()):
        lines = [f"   {json.dumps(name)}: {json.dumps(prices)}" for name, prices in sorted(models.items())]
        blocks.append(f"  {json.dumps(provider)}: {{\n" + ",\n".join(lines) + "\n  }")
    print(",\n".join(blocks) + "\n }\n}")


if __name__ == "__main__":
    main()
