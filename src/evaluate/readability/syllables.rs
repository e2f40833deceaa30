//! Syllables of a word: from a dictionary, else from the places where it may be hyphenated.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Words whose syllables hyphenation counts wrong, by their number; made by `scripts/syllables.py` from CMU's
/// pronouncing dictionary.
static DICTIONARY: &str = include_str!("../../../data/readability/syllables_en.txt");
/// Hyphenation patterns of American English, in the form of the Hyphen library.
static PATTERNS: &str = include_str!("../../../data/readability/hyph_en_US.dic");
/// No hyphen closer than this to either end of a word.
const MARGIN: usize = 2;

/// Syllables of a word.
pub(super) fn count(word: &str) -> usize {
    let word = word.to_lowercase();
    match dictionary().get(word.as_str()) {
        Some(count) => *count,
        None => hyphens(&word) + 1,
    }
}

fn dictionary() -> &'static HashMap<&'static str, usize> {
    static WORDS: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let groups = DICTIONARY.lines().filter_map(|line| line.split_once(' '));
        groups
            .filter_map(|(count, words)| Some((count.parse().ok()?, words)))
            .flat_map(|(count, words)| words.split(' ').map(move |word| (word, count)))
            .collect()
    })
}

/// Values between the letters of a pattern: odd allows a hyphen there, even forbids it, the highest wins.
struct Patterns {
    values: HashMap<String, Vec<u8>>,
    longest: usize,
}

fn patterns() -> &'static Patterns {
    static READ: OnceLock<Patterns> = OnceLock::new();
    READ.get_or_init(|| {
        let lines = PATTERNS.lines().skip(1).map(str::trim);
        let patterns = lines
            .filter(|line| !line.is_empty() && !line.starts_with(['%', '#']) && !line.contains("HYPHENMIN"));
        let values: HashMap<_, _> = patterns.map(pattern).collect();
        let longest = values.keys().map(|letters| letters.chars().count()).max().unwrap_or_default();
        Patterns { values, longest }
    })
}

/// The letters of a pattern such as `.a2ch4`, and the value before each of them and after the last.
fn pattern(text: &str) -> (String, Vec<u8>) {
    let (mut letters, mut values, mut value) = (String::new(), Vec::new(), 0);
    for character in text.chars() {
        match character.to_digit(10).and_then(|digit| u8::try_from(digit).ok()) {
            Some(digit) => value = digit,
            None => {
                letters.push(character);
                values.push(std::mem::take(&mut value));
            }
        }
    }
    values.push(value);
    (letters, values)
}

/// In how many places a word may be hyphenated, by Liang's algorithm.
fn hyphens(word: &str) -> usize {
    let pointed: Vec<char> = std::iter::once('.').chain(word.chars()).chain(['.']).collect();
    let mut allowed = vec![0; pointed.len() + 1];
    let Patterns { values, longest } = patterns();
    let mut letters = String::new();
    for begin in 0..pointed.len() {
        letters.clear();
        for letter in pointed.iter().skip(begin).take(*longest) {
            letters.push(*letter);
            let Some(found) = values.get(letters.as_str()) else { continue };
            for (place, value) in allowed.iter_mut().skip(begin).zip(found) {
                *place = (*place).max(*value);
            }
        }
    }
    // The place before letter n of the word is one further on, for the dot in front.
    let places = (MARGIN + 1)..=(pointed.len() - 1).saturating_sub(MARGIN);
    allowed.iter().enumerate().filter(|(at, value)| places.contains(at) && *value % 2 == 1).count()
}
