#!/usr/bin/env python3
"""Asks textstat, numpy and tiktoken, which MLflow's metrics use, for the cases of tests/data/readability.json.

    scripts/readability_cases.py CMUDICT TIKTOKEN_FILES > tests/data/readability.json

CMUDICT is cmudict.dict of https://github.com/cmusphinx/cmudict (0f8072f8), which textstat would otherwise download
in an older version; TIKTOKEN_FILES a folder with cl100k_base.tiktoken and o200k_base.tiktoken. Needs textstat 0.7.13,
pyphen 0.18.1, numpy and tiktoken.
"""
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile

TEXTS = [
    "",
    " ",
    "?!",
    "Yes.",
    "Paris",
    "The cat sat on the mat.",
    "Squirrels are not astronauts as they have not been trained or equipped for space travel.",
    "It is unlikely that a single weather balloon could safely carry a squirrel to space. It is too heavy!",
    "Don't worry; 'tis the dogs' dinner, she said. We'll see what they've done, you're right.",
    "The U.S. economy grew 3.14 percent in Q4. Prices fell... Nobody knew why?! Well.",
    "Electrophysiological measurements require extraordinary circumstances, antidisestablishmentarianism notwithstanding.",
    "state-of-the-art, well-known, e-mail: foo_bar@example.com (see https://example.com/a?b=c&d=1)",
    "One.\nTwo words.\n\nThree small words.\tFour words are here.\r\nAnd a fifth sentence without an end",
    "- bullet one is here\n- bullet two is there\n* and (one) more *item* `code()` **bold**",
    "fn main() { println!(\"{}\", 1 + 2); }",
    "Café, naïve, Zürich, Ångström und Straße: ŒUVRE.",
    "東京は日本の首都です。人口は多い。",
    "Москва — столица России. Это большой город!",
    "emoji 👍🏽 in the middle of a sentence, and 👩‍👩‍👧 a family.",
    "hmm shh mm",
    "ABBREVIATIONS LIKE NASA AND OPENTELEMETRY ARE SHOUTED IN THIS SENTENCE.",
    "x" * 60,
    "a\u00a0b\u2003c\u200bd\x1ce f g.",
    "½ of ² is Ⅷ and ٣.",
    "İstanbul is not Constantinople, ΟΔΥΣΣΕΥΣ said it often.",
    "efﬁcient ofﬁces suﬀer ﬂuently",
    "MLflow tracks experiments, packages models, and deploys them; Kubernetes orchestrates containers.",
    "\"Quoted 'inner' words\" said 'somebody's' friend, rock 'n' roll.",
    "1. First point.\n2. Second point is longer than this.\n3) Third.",
]
SEED = 4


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    texts = [*TEXTS, *random_texts(sys.argv[1])]
    measure, encodings = textstat_with(sys.argv[1]), tokenizers(sys.argv[2])
    cases = []
    for text in texts:
        case = {"text": text, "ari": measure.automated_readability_index(text), "flesch_kincaid": measure.flesch_kincaid_grade(text)}
        case |= {name: len(encoding.encode(text)) for name, encoding in encodings.items()}
        cases.append(case)
    json.dump({"cases": cases, "aggregates": list(aggregates())}, sys.stdout, ensure_ascii=True, indent=0)
    print()


def pronunciations(path):
    words = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            word, *phones = line.split("#")[0].split()
            words.setdefault(word, [phones])
    return words


def textstat_with(path):
    from textstat import textstat
    from textstat.backend.counts import _count_syllables

    words = pronunciations(path)
    _count_syllables.get_cmudict = lambda lang: words
    return textstat


def random_texts(path):
    """Sentences of words that are in the dictionary and words that are not."""
    random.seed(SEED)
    known = sorted(pronunciations(path))
    for _ in range(120):
        words = []
        for _ in range(random.randint(1, 40)):
            word = random.choice(known)
            if random.random() < 0.3:
                word = word[: random.randint(1, 9)] + random.choice(known)[-random.randint(1, 9):]
            words.append(random.choice([word, word, word.title()]) + random.choice(["", "", "", ",", ".", "?", "...", "'s", "'"]))
        yield " ".join(words)


def tokenizers(folder):
    """tiktoken checks the digest of its files, so these are the right ones."""
    import tiktoken

    cache = tempfile.mkdtemp()
    os.environ["TIKTOKEN_CACHE_DIR"] = cache
    for name in ("cl100k_base", "o200k_base"):
        url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        shutil.copy(os.path.join(folder, f"{name}.tiktoken"), os.path.join(cache, hashlib.sha1(url.encode()).hexdigest()))
    return {name: tiktoken.get_encoding(name) for name in ("cl100k_base", "o200k_base")}


def aggregates():
    from mlflow.metrics.base import standard_aggregations

    random.seed(SEED)
    for length in (1, 2, 3, 5, 7, 8, 9, 10, 16, 17, 50, 127, 128, 129, 200, 300, 1000):
        scores = [round(random.uniform(-20, 40), random.randint(0, 12)) for _ in range(length)]
        yield {"scores": scores, **{name: float(value) for name, value in standard_aggregations(scores).items()}}


if __name__ == "__main__":
    main()
