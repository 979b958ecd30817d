use std::{fmt::Display, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::catalogue::Problem;

/// What is wrong so far, and the text that it is wrong in.
pub(super) struct Problems<'t> {
    origin: &'t str,
    text: &'t str,
    pub(super) found: Vec<Problem>,
}

/// A value of the file and where it stands.
#[derive(Clone)]
pub(super) struct Node<'t> {
    /// For example `events.OrderPlaced.key[1]`.
    pub(super) entry: String,
    offset: usize,
    value: Option<&'t DeValue<'t>>,
}

/// A table whose fields are taken one by one; what is left at the end is unknown.
pub(super) struct Table<'t> {
    node: Node<'t>,
    fields: Vec<(&'t str, Node<'t>)>,
    asked: Vec<&'static str>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(origin: &'t str, text: &'t str) -> Problems<'t> {
        Problems { origin, text, found: Vec::new() }
    }

    /// Notes a problem with an entry of the catalogue file.
    pub(super) fn add(&mut self, node: &Node<'_>, what: impl Display, cure: impl Display) {
        let file = self.line(node.offset);
        self.add_in(file, &node.entry, what, cure);
    }

    /// Notes a problem with another file, which `entry` of the catalogue asks for.
    pub(super) fn add_in(
        &mut self,
        file: String,
        entry: &str,
        what: impl Display,
        cure: impl Display,
    ) {
        self.found.push(Problem {
            file,
            entry: entry.to_owned(),
            what: what.to_string(),
            cure: cure.to_string(),
        });
    }

    /// The file and the line of an offset in it.
    pub(super) fn line(&self, offset: usize) -> String {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        format!("{}:{}", self.origin, 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }
}

impl<'t> Node<'t> {
    /// The file as a whole.
    pub(super) fn root() -> Node<'t> {
        Node { entry: String::new(), offset: 0, value: None }
    }

    pub(super) fn text(&self, problems: &mut Problems<'_>) -> Option<&'t str> {
        let text = self.value.and_then(DeValue::as_str);
        if text.is_none() {
            self.mistyped("a text in quotes", problems);
        }
        text
    }

    /// A text that says something.
    pub(super) fn sentence(&self, problems: &mut Problems<'_>) -> Option<String> {
        let text = self.text(problems)?.trim();
        if text.is_empty() {
            problems.add(self, "is empty", "write what people should read there");
            return None;
        }
        Some(text.to_owned())
    }

    /// A text of a type that knows its own rule; the rule is the cure.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &self,
        problems: &mut Problems<'_>,
    ) -> Option<T> {
        let text = self.text(problems)?;
        text.parse().map_err(|error| problems.add(self, error, "write it by that rule")).ok()
    }

    /// A whole number of at least 1.
    pub(super) fn count(&self, problems: &mut Problems<'_>) -> Option<i32> {
        let Some(number) = self.value.and_then(DeValue::as_integer) else {
            self.mistyped("a whole number", problems);
            return None;
        };
        let count =
            i32::from_str_radix(number.as_str(), number.radix()).ok().filter(|count| *count >= 1);
        if count.is_none() {
            problems.add(
                self,
                format_args!("{number} is out of range"),
                "write a whole number of at least 1",
            );
        }
        count
    }

    /// A whole number of at least 0.
    pub(super) fn whole(&self, problems: &mut Problems<'_>) -> Option<u32> {
        let Some(number) = self.value.and_then(DeValue::as_integer) else {
            self.mistyped("a whole number", problems);
            return None;
        };
        let whole = u32::from_str_radix(number.as_str(), number.radix()).ok();
        if whole.is_none() {
            problems.add(self, format_args!("{number} is out of range"), "write 0 or more");
        }
        whole
    }

    pub(super) fn list(&self, problems: &mut Problems<'_>) -> Option<Vec<Node<'t>>> {
        let Some(items) = self.value.and_then(DeValue::as_array) else {
            self.mistyped("a list in square brackets", problems);
            return None;
        };
        let nodes = items.iter().enumerate().map(|(position, item)| Node {
            entry: format!("{}[{position}]", self.entry),
            offset: item.span().start,
            value: Some(item.get_ref()),
        });
        Some(nodes.collect())
    }

    pub(super) fn table(&self, problems: &mut Problems<'_>) -> Option<Table<'t>> {
        let Some(fields) = self.value.and_then(DeValue::as_table) else {
            self.mistyped("a table", problems);
            return None;
        };
        Some(Table::new(self.clone(), fields))
    }

    fn mistyped(&self, expected: &str, problems: &mut Problems<'_>) {
        let given = self.value.map_or("nothing", DeValue::type_str);
        problems.add(
            self,
            format_args!("is not {expected} but of type {given}"),
            format_args!("write {expected}"),
        );
    }
}

impl<'t> Table<'t> {
    pub(super) fn new(node: Node<'t>, table: &'t DeTable<'t>) -> Table<'t> {
        let mut fields =
            table.iter().map(|(key, value)| field(&node, key, value)).collect::<Vec<_>>();
        // The parser sorts by name; people think in the order that they wrote.
        fields.sort_by_key(|(_, node)| node.offset);
        Table { node, fields, asked: Vec::new() }
    }

    /// Takes the field out, if it is there.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Node<'t>> {
        self.asked.push(key);
        let position = self.fields.iter().position(|(name, _)| *name == key)?;
        Some(self.fields.remove(position).1)
    }

    /// Takes the field out; notes it when it is missing.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<Node<'t>> {
        let node = self.optional(key);
        if node.is_none() {
            problems.add(&self.node, format_args!("has no `{key}`"), format_args!("add `{key}`"));
        }
        node
    }

    /// All fields, for a table whose keys are names.
    pub(super) fn entries(self) -> Vec<(&'t str, Node<'t>)> {
        self.fields
    }

    pub(super) fn node(&self) -> &Node<'t> {
        &self.node
    }

    /// Notes every field that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems<'_>) {
        let known = self.asked.join("`, `");
        for (_, node) in self.fields {
            problems.add(
                &node,
                "is not a known key",
                format_args!("remove it, or use one of `{known}`"),
            );
        }
    }
}

fn field<'t>(
    parent: &Node<'t>,
    key: &'t Spanned<std::borrow::Cow<'t, str>>,
    value: &'t Spanned<DeValue<'t>>,
) -> (&'t str, Node<'t>) {
    let name: &str = key.get_ref();
    let entry =
        if parent.entry.is_empty() { name.to_owned() } else { format!("{}.{name}", parent.entry) };
    (name, Node { entry, offset: key.span().start, value: Some(value.get_ref()) })
}
