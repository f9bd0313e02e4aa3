//! One file with its changes in it. Decides where each goes and how it looks there; the order of text at one place; and
//! what of a change has to be known by who tries it.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Expr, ExprStruct, Member};

use crate::change::{Change, Genre};

/// A file with changes in it.
#[derive(Debug)]
pub(crate) struct Woven {
    pub(crate) source: String,
    /// What is to be known of some changes.
    pub(crate) notes: BTreeMap<u32, Note>,
}

/// What is to be known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// In a constant: the compiler computes it, so it is tried in a build of its own.
    Computed,
    /// In a function that the compiler may call as well.
    MaybeComputed,
    /// No change that compiles: what binds names, as `let` does, stands alone or after `&&`, and nowhere else.
    Binds,
    /// Not put into the source: its place was not found.
    Lost,
}

impl Note {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::MaybeComputed => "maybe-computed",
            Self::Binds => "refused",
            Self::Lost => "lost",
        }
    }
}

/// Puts `changes` into `source`.
pub(crate) fn weave(source: &str, changes: &[Change]) -> Result<Woven, syn::Error> {
    let file = syn::parse_file(source)?;
    let begins: BTreeMap<usize, Vec<&Change>> =
        changes.iter().fold(BTreeMap::new(), |mut begins, change| {
            let place = offset(source, change.begin);
            begins.entry(place).or_default().push(change);
            begins
        });
    let mut weaver = Weaver {
        source,
        begins,
        computed: None,
        either: BTreeMap::new(),
        inserted: Vec::new(),
        notes: BTreeMap::new(),
    };
    weaver.visit_file(&file);
    Ok(weaver.woven(changes))
}

/// The change whose condition stands on this line.
pub(crate) fn switched(line: &str) -> Option<u32> {
    let (_, rest) = line.rsplit_once(SWITCH)?;
    rest.split_once(')')?.0.parse().ok()
}

/// What may stand for an expression.
#[derive(Default)]
struct Either {
    /// Instead of it.
    others: Vec<(u32, String)>,
    /// A guard that is to be false.
    never: Vec<u32>,
}

struct Weaver<'a> {
    source: &'a str,
    begins: BTreeMap<usize, Vec<&'a Change>>,
    /// What is walked is computed, or may be.
    computed: Option<Note>,
    /// By begin and end.
    either: BTreeMap<(usize, usize), Either>,
    /// Text at a place.
    inserted: Vec<(usize, String)>,
    notes: BTreeMap<u32, Note>,
}

impl<'a> Weaver<'a> {
    /// Changes of that genre that begin at `place`.
    fn changes(&mut self, place: usize, genre: Genre) -> Vec<&'a Change> {
        let here = self.begins.get(&place).into_iter().flatten();
        let found: Vec<_> = here.filter(|it| it.genre == genre).copied().collect();
        if let Some(note) = self.computed {
            self.notes.extend(found.iter().map(|it| (it.number, note)));
        }
        found
    }

    fn instead(&mut self, place: &Range<usize>, change: &Change, other: String) {
        let either = self.either.entry((place.start, place.end)).or_default();
        either.others.push((change.number, other));
    }

    fn text(&self, node: &impl Spanned) -> &'a str {
        &self.source[node.span().byte_range()]
    }

    fn body(&mut self, block: &syn::Block) {
        let Some(first) = block.stmts.first() else {
            return;
        };
        let place = first.span().byte_range().start;
        for change in self.changes(place, Genre::Body) {
            let text = format!(
                "\nif {SWITCH}{}) {{\nreturn {};\n}}\n",
                change.number, change.with
            );
            self.inserted.push((place, text));
        }
    }

    fn operator(&mut self, expression: &Expr) {
        let place = expression.span().byte_range();
        match expression {
            Expr::Binary(it) => {
                let operator = it.op.span().byte_range().start;
                for change in self.changes(operator, Genre::Binary) {
                    if binds(&it.left) || binds(&it.right) {
                        self.notes.insert(change.number, Note::Binds);
                        continue;
                    }
                    let (left, right) = (self.text(&it.left), self.text(&it.right));
                    let other = format!("{left}\n{}\n{right}", change.with);
                    self.instead(&place, change, other);
                }
            }
            Expr::Unary(it) => {
                for change in self.changes(place.start, Genre::Unary) {
                    let other = self.text(&it.expr).to_owned();
                    self.instead(&place, change, other);
                }
            }
            _ => {}
        }
    }

    fn arm(&mut self, arm: &Arm) {
        let guard = arm.guard.as_ref().map(|(_, guard)| guard);
        let place = guard.map(|it| it.span().byte_range());
        for change in self.changes(arm.span().byte_range().start, Genre::Arm) {
            match &place {
                Some(place) => {
                    let either = self.either.entry((place.start, place.end)).or_default();
                    either.never.push(change.number);
                }
                None => self.inserted.push((
                    arm.pat.span().byte_range().end,
                    format!("\nif !{SWITCH}{})\n", change.number),
                )),
            }
        }
        let Some(place) = place else { return };
        for change in self.changes(place.start, Genre::Guard) {
            self.instead(&place, change, change.with.clone());
        }
    }

    fn fields(&mut self, expression: &ExprStruct) {
        let Some(base) = &expression.rest else { return };
        let base = self.text(&**base);
        for field in &expression.fields {
            let Member::Named(name) = &field.member else {
                continue;
            };
            for change in self.changes(field.span().byte_range().start, Genre::Field) {
                let other = format!("({base}).{name}");
                if field.colon_token.is_some() {
                    self.instead(&field.expr.span().byte_range(), change, other);
                } else {
                    let text = format!(
                        ": if {SWITCH}{}) {{\n{other}\n}} else {{\n{name}\n}}",
                        change.number
                    );
                    let place = field.span().byte_range().end;
                    self.inserted.push((place, text));
                }
            }
        }
    }

    fn computed(&mut self, walk: impl FnOnce(&mut Self)) {
        let around = self.computed.replace(Note::Computed);
        walk(self);
        self.computed = around;
    }

    fn function(
        &mut self,
        signature: &syn::Signature,
        body: Option<&syn::Block>,
        walk: impl FnOnce(&mut Self),
    ) {
        let note = signature.constness.map(|_| Note::MaybeComputed);
        let around = std::mem::replace(&mut self.computed, note);
        if let Some(body) = body {
            self.body(body);
        }
        walk(self);
        self.computed = around;
    }

    /// At one place what ends there comes first, the innermost before the others; then what begins, the outermost first.
    fn woven(mut self, changes: &[Change]) -> Woven {
        let mut pieces = Vec::new();
        for (place, text) in std::mem::take(&mut self.inserted) {
            pieces.push((place, 1, 0, text));
        }
        for ((begin, end), either) in &self.either {
            pieces.push((*begin, 2, usize::MAX - end, either.begin()));
            pieces.push((*end, 0, usize::MAX - begin, either.end()));
        }
        pieces.sort_by_key(|(place, order, depth, _)| (*place, *order, *depth));
        let (mut source, mut done) = (String::new(), 0);
        for (place, _, _, text) in pieces {
            source.push_str(&self.source[done..place]);
            source.push_str(&text);
            done = place;
        }
        source.push_str(&self.source[done..]);
        for change in changes {
            let words = format!("{SWITCH}{})", change.number);
            if !source.contains(&words) {
                let note = self.notes.entry(change.number).or_insert(Note::Lost);
                if *note != Note::Binds {
                    *note = Note::Lost;
                }
            }
        }
        Woven {
            source,
            notes: self.notes,
        }
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_expr(&mut self, it: &'ast Expr) {
        self.operator(it);
        visit::visit_expr(self, it);
    }

    fn visit_arm(&mut self, it: &'ast Arm) {
        self.arm(it);
        visit::visit_arm(self, it);
    }

    fn visit_expr_struct(&mut self, it: &'ast ExprStruct) {
        self.fields(it);
        visit::visit_expr_struct(self, it);
    }

    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        self.function(&it.sig, Some(&it.block), |weaver| {
            visit::visit_item_fn(weaver, it);
        });
    }

    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        self.function(&it.sig, Some(&it.block), |weaver| {
            visit::visit_impl_item_fn(weaver, it);
        });
    }

    fn visit_trait_item_fn(&mut self, it: &'ast syn::TraitItemFn) {
        self.function(&it.sig, it.default.as_ref(), |weaver| {
            visit::visit_trait_item_fn(weaver, it);
        });
    }

    fn visit_item_const(&mut self, it: &'ast syn::ItemConst) {
        self.computed(|weaver| visit::visit_item_const(weaver, it));
    }

    fn visit_impl_item_const(&mut self, it: &'ast syn::ImplItemConst) {
        self.computed(|weaver| visit::visit_impl_item_const(weaver, it));
    }

    fn visit_item_static(&mut self, it: &'ast syn::ItemStatic) {
        self.computed(|weaver| visit::visit_item_static(weaver, it));
    }

    fn visit_type(&mut self, it: &'ast syn::Type) {
        self.computed(|weaver| visit::visit_type(weaver, it));
    }
}

/// The code as it is comes first, so that the compiler finds fault with the others.
impl Either {
    fn begin(&self) -> String {
        let never = self.never.iter();
        let mut text: String = never.map(|it| format!("\n!{SWITCH}{it})\n&& ")).collect();
        text.push('(');
        if !self.others.is_empty() {
            let asked = self.others.iter().map(|(it, _)| format!("!{SWITCH}{it})"));
            let asked: Vec<_> = asked.collect();
            text += &format!("\nif {} {{\n", asked.join(" && "));
        }
        text
    }

    fn end(&self) -> String {
        let mut text = String::new();
        for (number, other) in &self.others {
            let is_last = self.others.last().is_some_and(|(last, _)| last == number);
            text += &if is_last {
                format!("\n}} else {{ // {SWITCH}{number})\n{other}")
            } else {
                format!("\n}} else if {SWITCH}{number}) {{\n{other}")
            };
        }
        text + if self.others.is_empty() { ")" } else { "\n})" }
    }
}

/// Whether a condition binds names, as `let` does: such a one stands alone or after `&&`, and nowhere else.
fn binds(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(it) => binds(&it.left) || binds(&it.right),
        _ => false,
    }
}

fn offset(source: &str, (line, column): (usize, usize)) -> usize {
    let above = source.split_inclusive('\n').take(line - 1);
    let begin: usize = above.map(str::len).sum();
    let before = source[begin..].chars().take(column - 1);
    begin + before.map(char::len_utf8).sum::<usize>()
}

const SWITCH: &str = "::usher_mutant::on(";

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u32, genre: Genre, begin: (usize, usize), with: &str) -> Change {
        Change {
            number,
            genre,
            begin,
            with: with.to_owned(),
        }
    }

    /// Without the white space that only the lines of errors need.
    fn woven(source: &str, changes: &[Change]) -> (String, Vec<(u32, Note)>) {
        let woven = weave(source, changes).unwrap();
        let words: Vec<_> = woven.source.split_whitespace().collect();
        (
            words.join(" ").replace(SWITCH, "on("),
            woven.notes.into_iter().collect(),
        )
    }

    #[test]
    fn changes_of_one_expression_and_around_it_stand_beside_each_other() {
        let (source, notes) = woven(
            "fn f(a: u8) -> u8 {\n    a + 1 * 2\n}",
            &[
                change(1, Genre::Body, (2, 5), "0"),
                change(2, Genre::Binary, (2, 7), "-"),
                change(3, Genre::Binary, (2, 7), "/"),
                change(4, Genre::Binary, (2, 11), "+"),
            ],
        );
        assert_eq!(
            source,
            "fn f(a: u8) -> u8 { if on(1) { return 0; } ( if !on(2) && !on(3) { a + ( if !on(4) { 1 * 2 } else { // on(4) 1 + 2 }) \
             } else if on(2) { a - 1 * 2 } else { // on(3) a / 1 * 2 }) }"
        );
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn arms_guards_fields_and_signs_are_switched() {
        let (source, notes) = woven(
            "fn f() -> S {\n match 1 {\n  1 if !b => S { c: 1, ..d },\n  2 => S { c, ..d },\n  _ => e\n }\n}",
            &[
                change(1, Genre::Arm, (3, 3), ""),
                change(2, Genre::Guard, (3, 8), "true"),
                change(3, Genre::Unary, (3, 8), ""),
                change(4, Genre::Field, (3, 18), ""),
                change(5, Genre::Arm, (4, 3), ""),
                change(6, Genre::Field, (4, 12), ""),
            ],
        );
        assert_eq!(
            source,
            "fn f() -> S { match 1 { 1 if !on(1) && ( if !on(2) && !on(3) { !b } else if on(2) { true } else { // on(3) b }) \
             => S { c: ( if !on(4) { 1 } else { // on(4) (d).c }), ..d }, 2 if !on(5) => S { c: if on(6) { (d).c } else { c }, ..d }, _ => e } }"
        );
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn what_the_compiler_computes_or_refuses_is_noted() {
        let (source, notes) = woven(
            "const A: u8 = 1 + 1;\nconst fn f() {\n if let b = c && d {\n  -e;\n }\n}",
            &[
                change(1, Genre::Binary, (1, 17), "-"),
                change(2, Genre::Binary, (3, 15), "||"),
                change(3, Genre::Unary, (3, 2), ""),
                change(4, Genre::Unary, (4, 3), ""),
            ],
        );
        assert!(
            source.contains("const A: u8 = ( if !on(1) { 1 + 1 }"),
            "{source}"
        );
        assert_eq!(
            notes,
            [
                (1, Note::Computed),
                (2, Note::Binds),
                (3, Note::Lost),
                (4, Note::MaybeComputed)
            ]
        );
    }

    #[test]
    fn an_error_is_blamed_on_the_line_above_it() {
        assert_eq!(switched("if ::usher_mutant::on(12) {"), Some(12));
        assert_eq!(switched("a - 1"), None);
    }
}
