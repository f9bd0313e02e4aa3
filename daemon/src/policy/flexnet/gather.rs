//! Gathers what the lines say and settles it: lines about the same become one rule, and what would
//! contradict itself as a policy is put right where its meaning is plain, and told where it is not.

use usher_engine::policy::{Network, Per, fold, limits};
use usher_protocol::time::DurationMs;

use super::{
    Remark,
    borrow::{BorrowPlan, Borrowing},
    remark,
    statement::Statement,
    who::{self, Host, Spec},
};

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) groups: Vec<Group>,
    pub(super) deny: Vec<(String, Names)>,
    pub(super) allow: Vec<(String, Names)>,
    pub(super) maximum: Vec<Maximum>,
    pub(super) reserve: Vec<Reserve>,
    pub(super) idle: Vec<(String, Option<DurationMs>, u32)>,
    pub(super) linger: Vec<(String, DurationMs, u32)>,
    pub(super) borrow: Vec<BorrowPlan>,
}

/// A group, by the name it has in the policy.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) users: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) networks: Vec<Network>,
    pub(super) lines: Vec<u32>,
    source: (bool, String),
}

/// Words of a `who`, none twice, with the lines that bring them. No word at all is everybody.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    pub(super) words: Vec<String>,
    pub(super) lines: Vec<u32>,
}

impl Names {
    pub(super) fn add(&mut self, word: String, line: u32) {
        self.lines.push(line);
        if !self.has(&word) {
            self.words.push(word);
        }
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|it| same(it, word))
    }

    pub(super) fn without(&mut self, others: &Names) {
        self.words.retain(|word| !others.has(word));
    }
}

/// Names of groups differ by case; all else does not.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || (a.contains(':') && fold(a) == fold(b))
}

#[derive(Debug)]
pub(super) struct Maximum {
    pub(super) feature: String,
    pub(super) per: Per,
    /// None: everybody.
    pub(super) who: Option<String>,
    pub(super) seats: u32,
    pub(super) line: u32,
}

#[derive(Debug)]
pub(super) struct Reserve {
    pub(super) feature: String,
    pub(super) who: String,
    pub(super) seats: u32,
    pub(super) lines: Vec<u32>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    plan: Plan,
    borrowing: Vec<(String, Borrowing)>,
}

impl Gathered {
    /// Takes one line in.
    pub(super) fn take(&mut self, line: u32, statement: Statement, remarks: &mut Vec<Remark>) {
        if let Err(why) = self.taken(line, statement, remarks) {
            remark(remarks, line, why);
        }
    }

    fn taken(
        &mut self,
        line: u32,
        statement: Statement,
        remarks: &mut Vec<Remark>,
    ) -> Result<(), String> {
        match statement {
            Statement::UserGroup(name, members) => self.group(false, &name, members, line, remarks),
            Statement::HostGroup(name, members) => self.group(true, &name, members, line, remarks),
            Statement::Exclude(feature, spec) => {
                let word = self.word(spec)?;
                of(&mut self.plan.deny, feature).add(word, line);
            }
            Statement::Include(feature, spec) => {
                let word = self.word(spec)?;
                of(&mut self.plan.allow, feature).add(word, line);
            }
            Statement::ExcludeBorrow(feature, spec) => {
                let word = self.word(spec)?;
                of(&mut self.borrowing, feature).excluded.add(word, line);
            }
            Statement::IncludeBorrow(feature, spec) => {
                let word = self.word(spec)?;
                of(&mut self.borrowing, feature).included.add(word, line);
            }
            Statement::MaxBorrow(feature, longest) => {
                of(&mut self.borrowing, feature).longest(longest, line, remarks)?;
            }
            Statement::LowWater(feature, seats) => {
                of(&mut self.borrowing, feature).at_home(seats, line, remarks);
            }
            Statement::Max(seats, feature, spec) => self.maximum(seats, &feature, spec, line)?,
            Statement::Reserve(seats, feature, spec) => self.reserve(seats, feature, spec, line)?,
            Statement::Timeout(feature, after) => {
                if after.is_some_and(|after| after > limits::IDLE_MS_MAX) {
                    return Err(too_long("TIMEOUT", limits::IDLE_MS_MAX));
                }
                last(&mut self.plan.idle, feature, after, line, remarks);
            }
            Statement::Linger(feature, length) => {
                if length > limits::LINGER_MS_MAX {
                    return Err(too_long("LINGER", limits::LINGER_MS_MAX));
                }
                last(&mut self.plan.linger, feature, length, line, remarks);
            }
            Statement::AlwaysSo => {}
        }
        Ok(())
    }

    fn group(
        &mut self,
        of_hosts: bool,
        source: &str,
        members: Vec<String>,
        line: u32,
        remarks: &mut Vec<Remark>,
    ) {
        let source = (of_hosts, source.to_owned());
        let known = self
            .plan
            .groups
            .iter()
            .position(|group| group.source == source);
        let index = known.unwrap_or_else(|| {
            let name = self.free_name(&source);
            self.plan.groups.push(Group::new(name, source));
            self.plan.groups.len() - 1
        });
        let group = &mut self.plan.groups[index];
        group.lines.push(line);
        for member in members {
            if let Err(why) = group.add(of_hosts, &member) {
                remark(remarks, line, why);
            }
        }
    }

    /// The group's name with what ours may not have replaced, and told apart from those there are.
    fn free_name(&self, source: &(bool, String)) -> String {
        let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let name: String = source
            .1
            .chars()
            .map(|c| if fits(c) { c } else { '-' })
            .collect();
        let end = name.floor_char_boundary(limits::GROUP_BYTES_MAX - 12);
        let name = if name.is_empty() {
            "group"
        } else {
            &name[..end]
        };
        let is_free = |name: &String| !self.plan.groups.iter().any(|group| group.name == *name);
        let suffix = if source.0 { "-hosts" } else { "" };
        let names = [name.to_owned(), format!("{name}{suffix}")].into_iter();
        let mut names = names.chain((2_u32..).map(|number| format!("{name}-{number}")));
        names.find(is_free).unwrap_or_default()
    }

    fn word(&self, spec: Spec) -> Result<String, String> {
        let (of_hosts, source) = match spec {
            Spec::Word(word) => return Ok(word),
            Spec::AllUsers | Spec::AllGroups => {
                return Err("ALL_USERS and ALL_GROUPS are words of MAX alone".to_owned());
            }
            Spec::UserGroup(name) => (false, name),
            Spec::HostGroup(name) => (true, name),
        };
        let source = (of_hosts, source);
        let group = self.plan.groups.iter().find(|group| group.source == source);
        group.map(|group| group.name.clone()).ok_or_else(|| {
            let kind = if of_hosts { "HOST_GROUP" } else { "GROUP" };
            format!("no {kind} line says who is in `{}`", source.1)
        })
    }

    fn maximum(&mut self, seats: u32, feature: &str, spec: Spec, line: u32) -> Result<(), String> {
        let per = match &spec {
            Spec::AllUsers => Per::User,
            Spec::Word(word) if word.starts_with("user:") => Per::User,
            Spec::Word(word) if word.starts_with("host:") => Per::Host,
            _ => Per::Group,
        };
        let who = match spec {
            Spec::AllUsers if seats == 0 => {
                return Err("a maximum of 0 for all users shuts the feature; write `[[allow]]` for those who may have it".to_owned());
            }
            Spec::AllUsers => vec![None],
            Spec::AllGroups => {
                let groups = self.plan.groups.iter().filter(|group| !group.source.0);
                let names: Vec<_> = groups.map(|group| Some(group.name.clone())).collect();
                if names.is_empty() {
                    return Err("no GROUP line says who is in any group".to_owned());
                }
                names
            }
            spec => vec![Some(self.word(spec)?)],
        };
        let mut decided = Vec::new();
        for who in who {
            match (seats, who) {
                (0, Some(word)) => of(&mut self.plan.deny, feature.to_owned()).add(word, line),
                (_, who) => decided.extend(self.maximum_of(seats, feature, per, who, line)),
            }
        }
        match decided.first() {
            None => Ok(()),
            Some(earlier) => Err(format!(
                "line {earlier} comes first and decides for the same"
            )),
        }
    }

    /// Adds it, or names the line that decides before it.
    fn maximum_of(
        &mut self,
        seats: u32,
        feature: &str,
        per: Per,
        who: Option<String>,
        line: u32,
    ) -> Option<u32> {
        let decides = |earlier: &&Maximum| {
            let covers = match (&earlier.who, &who) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(all), Some(word)) => same(all, word),
            };
            earlier.feature == feature && earlier.per == per && covers
        };
        if let Some(earlier) = self.plan.maximum.iter().find(decides) {
            return Some(earlier.line);
        }
        let feature = feature.to_owned();
        self.plan.maximum.push(Maximum {
            feature,
            per,
            who,
            seats,
            line,
        });
        None
    }

    /// Several lines for the same add up.
    fn reserve(
        &mut self,
        seats: u32,
        feature: String,
        spec: Spec,
        line: u32,
    ) -> Result<(), String> {
        let who = self.word(spec)?;
        if seats == 0 {
            return Err("reserves nothing".to_owned());
        }
        let known = |it: &&mut Reserve| it.feature == feature && same(&it.who, &who);
        if let Some(reserve) = self.plan.reserve.iter_mut().find(known) {
            let sum = reserve.seats.saturating_add(seats);
            reserve.seats = sum.min(usher_protocol::limits::SEATS_PER_CHECKOUT_MAX);
            reserve.lines.push(line);
        } else {
            let lines = vec![line];
            self.plan.reserve.push(Reserve {
                feature,
                who,
                seats,
                lines,
            });
        }
        Ok(())
    }

    /// Puts right what contradicts itself; nothing is added after it.
    pub(super) fn settle(mut self, remarks: &mut Vec<Remark>) -> Plan {
        self.plan.settle_deny();
        self.plan.settle_allow(remarks);
        self.plan.settle_reserve(remarks);
        // The first rule decides: those of one feature before those of all.
        self.plan.idle.sort_by_key(|(feature, ..)| is_all(feature));
        for (feature, borrowing) in self.borrowing {
            self.plan.borrow.extend(borrowing.settle(&feature, remarks));
        }
        self.plan
    }
}

impl Group {
    fn new(name: String, source: (bool, String)) -> Self {
        Self {
            name,
            users: Vec::new(),
            hosts: Vec::new(),
            networks: Vec::new(),
            lines: Vec::new(),
            source,
        }
    }

    fn add(&mut self, of_hosts: bool, member: &str) -> Result<(), String> {
        if !of_hosts {
            self.users.push(who::user(member)?.to_owned());
            return Ok(());
        }
        match who::host(member)? {
            Host::Name(name) => self.hosts.push(name),
            Host::Network(network) => self.networks.push(network),
        }
        Ok(())
    }
}

pub(super) fn is_all(feature: &str) -> bool {
    feature.ends_with("/*")
}

fn too_long(keyword: &str, longest: DurationMs) -> String {
    format!(
        "{keyword}: longer than {} cannot be said here",
        longest.to_text()
    )
}

/// What there is about a feature.
pub(super) fn of<T: Default>(list: &mut Vec<(String, T)>, feature: String) -> &mut T {
    let known = list.iter().position(|(it, _)| *it == feature);
    let index = known.unwrap_or_else(|| {
        list.push((feature, T::default()));
        list.len() - 1
    });
    &mut list[index].1
}

/// Of several lines about the same the last one counts.
fn last<T>(
    list: &mut Vec<(String, T, u32)>,
    feature: String,
    value: T,
    line: u32,
    remarks: &mut Vec<Remark>,
) {
    if let Some(known) = list.iter_mut().find(|(it, ..)| *it == feature) {
        remark(
            remarks,
            known.2,
            format!("line {line} says otherwise, and the last one counts"),
        );
        (known.1, known.2) = (value, line);
    } else {
        list.push((feature, value, line));
    }
}
