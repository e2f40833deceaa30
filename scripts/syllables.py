#!/usr/bin/env python3
"""Condenses a pronouncing dictionary into the words whose syllables hyphenation counts wrong.

    scripts/syllables.py CMUDICT HYPHENATION > data/readability/syllables_en.txt

CMUDICT is cmudict.dict of https://github.com/cmusphinx/cmudict (0f8072f8), HYPHENATION is
data/readability/hyph_en_US.dic. One line for each number of syllables: the number, then its words. Needs pyphen.
"""
import re
import sys
from pathlib import Path

from pyphen import Pyphen

# What can be left of a word once the punctuation is gone.
WORD = re.compile(r"(?:\w|'(?=[tsd]|ve|ll|re))+")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    dictionary, hyphenation = sys.argv[1], Pyphen(filename=Path(sys.argv[2]))
    words = {}
    with open(dictionary, encoding="utf-8") as file:
        for line in file:
            word, *phones = line.split("#")[0].split()
            count = sum(phone[-1].isdigit() for phone in phones)
            # word(2) and so on are further pronunciations; the first one counts.
            if WORD.fullmatch(word) and len(hyphenation.positions(word)) + 1 != count:
                words.setdefault(count, []).append(word)
    for count, group in sorted(words.items()):
        print(count, *sorted(group))


if __name__ == "__main__":
    main()
