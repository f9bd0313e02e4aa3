//! "Did you mean": which known word a mistyped one is nearest to. Decides nothing but that.

/// The end of a message about `found`: `; did you mean \`user\`?`, or nothing when no word is near.
pub(super) fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(found, known);
    near.map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

/// The known word nearest to `found`, when one is near: case apart, one slip in three letters.
pub(super) fn nearest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let found: Vec<char> = found.to_lowercase().chars().take(LETTERS_MAX).collect();
    let slips_max = (found.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .filter(|word| word.len() <= 4 * LETTERS_MAX)
        // A letter more or less is a slip, too: most words need no closer look.
        .filter(|word| word.chars().count().abs_diff(found.len()) <= slips_max)
        .map(|word| (slips(&found, &word.to_lowercase()), word))
        .filter(|(slips, word)| *slips <= slips_max && *slips < word.chars().count())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// Letters to put in, take out, exchange or swap with their neighbor, at the least.
fn slips(found: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=known.len()).collect();
    for (i, a) in found.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in known.iter().enumerate() {
            let exchanged = above[j] + usize::from(a != b);
            let mut least = exchanged.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == known[j - 1] && found[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(found.len())
}

const LETTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_strangers_are_not() {
        let known = ["feature", "who", "reason", "seats"];
        for (found, expected) in [
            ("feture", Some("feature")),
            ("Feature", Some("feature")),
            ("featrue", Some("feature")),
            ("seat", Some("seats")),
            ("woh", Some("who")),
            ("x", None),
            ("priority", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, known), expected, "{found}");
        }
    }
}
