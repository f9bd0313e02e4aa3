//! End to end, through the real programs: one file per question.

mod lan;
