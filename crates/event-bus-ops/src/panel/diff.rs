//! What is different between two texts, line by line. Pure.

/// A line of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Same(String),
    Gone(String),
    New(String),
}

/// More pairs of lines are not compared: all of one are gone then, and all of the other new.
const MAX_PAIRS: usize = 4_000_000;

/// The lines of both in order, with as many the same as there are.
pub(super) fn diff(old: &[String], new: &[String]) -> Vec<Change> {
    let alike = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (start, old, new) = (&old[..alike], &old[alike..], &new[alike..]);
    let alike = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let end = &old[old.len() - alike..];
    let (old, new) = (&old[..old.len() - alike], &new[..new.len() - alike]);
    let same = |line: &String| Change::Same(line.clone());
    let mut changes: Vec<Change> = start.iter().map(same).collect();
    changes.extend(between(old, new));
    changes.extend(end.iter().map(same));
    changes
}

fn between(old: &[String], new: &[String]) -> Vec<Change> {
    let gone = |line: &String| Change::Gone(line.clone());
    let added = |line: &String| Change::New(line.clone());
    if old.len().saturating_mul(new.len()) > MAX_PAIRS {
        return old.iter().map(gone).chain(new.iter().map(added)).collect();
    }
    // How many lines are the same from each pair of places on.
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[at * width + to] = if old[at] == new[to] {
                common[(at + 1) * width + to + 1] + 1
            } else {
                common[(at + 1) * width + to].max(common[at * width + to + 1])
            };
        }
    }
    let (mut changes, mut at, mut to) = (Vec::new(), 0, 0);
    while at < old.len() && to < new.len() {
        if old[at] == new[to] {
            changes.push(Change::Same(old[at].clone()));
            (at, to) = (at + 1, to + 1);
        } else if common[(at + 1) * width + to] >= common[at * width + to + 1] {
            changes.push(gone(&old[at]));
            at += 1;
        } else {
            changes.push(added(&new[to]));
            to += 1;
        }
    }
    changes.extend(old[at..].iter().map(gone));
    changes.extend(new[to..].iter().map(added));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let told = diff(&lines(old), &lines(new)).into_iter().map(|change| match change {
            Change::Same(line) => line,
            Change::Gone(line) => format!("-{line}"),
            Change::New(line) => format!("+{line}"),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_differs_is_gone_or_new() {
        assert_eq!(told("a b c", "a b c"), "a b c");
        assert_eq!(told("a b c d", "a x c d"), "a -b +x c d");
        assert_eq!(told("a b c", "a c"), "a -b c");
        assert_eq!(told("b c", "a b c d"), "+a b c +d");
    }

    #[test]
    fn texts_that_are_too_long_to_compare_are_shown_in_one_piece() {
        let lines =
            |from: usize| (from..from + 3_000).map(|nth| nth.to_string()).collect::<Vec<_>>();
        let changes = diff(&lines(0), &lines(5_000));
        assert_eq!(changes.len(), 6_000);
        assert!(
            matches!(changes[2_999], Change::Gone(_)) && matches!(changes[3_000], Change::New(_))
        );
    }
}
