//! From a FlexNet options file to a policy: what maps is written as rules, what does not is told
//! line by line. Nothing is left out in silence, and what is written passes the policy's own check.
//!
//! Its rules are not Usher's: where a line means more or less here than there, it is told and not
//! guessed. It reads text and gives text; it opens no file.

mod borrow;
mod gather;
mod lines;
mod settle;
mod statement;
mod who;
mod write;

use std::path::Path;

use usher_protocol::names::VendorName;

use gather::Gathered;
use statement::Reader;

use super::{PolicyError, parse};

/// What came of an options file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The policy file.
    pub policy: String,
    /// Lines that stand in it as rules or groups.
    pub lines: usize,
    /// What does not, in the order of the lines.
    pub remarks: Vec<Remark>,
}

/// A line that is not converted, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line it begins at, from 1.
    pub line: u32,
    /// What is not converted, and why.
    pub text: String,
}

/// Converts an options file of `vendor`, whose features are `vendor/feature` here.
///
/// # Errors
/// [`PolicyError`] when the result is no policy: the options file goes beyond a policy's limits.
pub fn convert(text: &str, vendor: &VendorName) -> Result<Converted, PolicyError> {
    let mut remarks = Vec::new();
    let mut gathered = Gathered::default();
    let mut numbers = Vec::new();
    let statements = Reader::new(vendor).read(lines::of(text), &mut remarks);
    for (line, statement) in statements {
        numbers.push(line);
        gathered.take(line, statement, &mut remarks);
    }
    let plan = gathered.settle(&mut remarks);
    remarks.sort();
    remarks.dedup();
    numbers.retain(|line| !remarks.iter().any(|remark| remark.line == *line));
    let policy = write::text(&plan, numbers.len(), &remarks);
    parse(Path::new("policy.toml"), &policy)?;
    Ok(Converted {
        policy,
        lines: numbers.len(),
        remarks,
    })
}

fn remark(remarks: &mut Vec<Remark>, line: u32, text: impl Into<String>) {
    remarks.push(Remark {
        line,
        text: text.into(),
    });
}

#[cfg(test)]
mod tests;
