//! A change, as `tests/mutants` lists it: one line, fields apart by tabs. Must not know what code looks like.

/// What is changed, in the words of cargo-mutants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Genre {
    /// A function's body is another value.
    Body,
    /// An operator between two values is another.
    Binary,
    /// An operator before a value is gone.
    Unary,
    /// An arm is gone.
    Arm,
    /// A guard is always true, or never.
    Guard,
    /// A field is what the base says.
    Field,
}

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) number: u32,
    pub(crate) genre: Genre,
    /// Line and column, both from 1; the column counts characters.
    pub(crate) begin: (usize, usize),
    pub(crate) with: String,
}

/// Its file, and the change: `NUMBER FILE GENRE LINE COLUMN REPLACEMENT`.
pub(crate) fn read(line: &str) -> Option<(String, Change)> {
    let mut fields = line.split('\t');
    let number = fields.next()?.parse().ok()?;
    let file = fields.next()?.to_owned();
    let genre = match fields.next()? {
        "FnValue" => Genre::Body,
        "BinaryOperator" => Genre::Binary,
        "UnaryOperator" => Genre::Unary,
        "MatchArm" => Genre::Arm,
        "MatchArmGuard" => Genre::Guard,
        "StructField" => Genre::Field,
        _ => return None,
    };
    let begin = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let with = unescaped(fields.next()?);
    let change = Change {
        number,
        genre,
        begin,
        with,
    };
    Some((file, change))
}

/// As jq writes a field: a tab, a new line and a backslash are two characters each.
fn unescaped(field: &str) -> String {
    let mut text = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_change() {
        let (file, change) = read("7\ta.rs\tBinaryOperator\t3\t9\t<=").unwrap();
        assert_eq!((file.as_str(), change.number), ("a.rs", 7));
        assert_eq!((change.genre, change.begin), (Genre::Binary, (3, 9)));
        assert_eq!(change.with, "<=");
        assert!(read("7\ta.rs\tSomething\t3\t9\t<=").is_none());
        assert_eq!(unescaped(r#"a\\n\n"#), "a\\n\n");
    }
}
