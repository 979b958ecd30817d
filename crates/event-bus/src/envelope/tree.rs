//! JSON as its text and a list of the values in it.
//!
//! `serde_json::Value` gives each name and each string an allocation of its own. What checks a payload only looks, so
//! here the strings stay where they are in the text, and all values of a document stand in one list.

mod read;
mod view;
mod write;

use std::collections::HashSet;
use std::ops::Range;

use serde::de;
use serde_json::{Map, Number, Value};

use view::Fields;

pub(crate) use view::{Node, TreeJson};
pub(super) use write::Written;

/// A JSON document that can be looked at without being copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    text: String,
    /// In document order, a container before what it holds, each field as its name and its value.
    entries: Vec<Entry>,
    /// The strings that are escaped in the text, as they are meant.
    unescaped: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Null,
    Bool(bool),
    Number(Number),
    /// A string as it stands in the text, without its quotes.
    Plain(Range<usize>),
    /// A string, in `unescaped`.
    Unescaped(Range<usize>),
    /// `len` counts the items, `end` is the position behind the last entry of what it holds.
    Array {
        len: usize,
        end: usize,
    },
    /// As an array; `len` counts names and values.
    Object {
        len: usize,
        end: usize,
    },
}

/// A tree that is being filled, in document order.
#[derive(Debug)]
struct Growing {
    tree: Tree,
    /// The innermost container that is not closed yet. Until then its `end` is the container around it.
    open: usize,
}

/// Around the outermost value there is no container.
const NOWHERE: usize = usize::MAX;

impl Tree {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// The position behind a value and all that it holds.
    fn behind(&self, at: usize) -> usize {
        match self.entries[at] {
            Entry::Array { end, .. } | Entry::Object { end, .. } => end,
            _ => at + 1,
        }
    }

    /// Readers would disagree on which of two fields counts.
    fn without_duplicates(self) -> Result<Tree, serde_json::Error> {
        let objects = (0..self.entries.len()).filter_map(|at| Node::new(&self, at).fields());
        for fields in objects {
            if let Some(name) = repeated(fields) {
                // The name comes from outside and may be of any length.
                let name = name.chars().take(64).collect::<String>();
                return Err(de::Error::custom(format_args!("duplicate field {name:?}")));
            }
        }
        Ok(self)
    }
}

/// A name that two of the fields have.
fn repeated(fields: Fields<'_>) -> Option<&str> {
    /// Up to here comparing each with each takes less time than a set.
    const FEW: usize = 16;
    let count = fields.len();
    let mut names = fields.map(|(name, _)| name);
    if count > FEW {
        let mut seen = HashSet::with_capacity(count);
        return names.find(|name| !seen.insert(*name));
    }
    let mut seen = [""; FEW];
    let mut count = 0;
    names.find(|name| {
        let is_repeated = seen[..count].contains(name);
        seen[count] = name;
        count += 1;
        is_repeated
    })
}

impl Growing {
    fn with_capacity(entries: usize) -> Growing {
        let entries = Vec::with_capacity(entries);
        Growing { tree: Tree { entries, ..Tree::default() }, open: NOWHERE }
    }

    fn push(&mut self, entry: Entry) {
        if let Some(Entry::Array { len, .. } | Entry::Object { len, .. }) = self.open_entry() {
            *len += 1;
        }
        self.tree.entries.push(entry);
    }

    fn push_unescaped(&mut self, string: &str) {
        let start = self.tree.unescaped.len();
        self.tree.unescaped.push_str(string);
        self.push(Entry::Unescaped(start..self.tree.unescaped.len()));
    }

    fn open_array(&mut self) {
        self.open(Entry::Array { len: 0, end: self.open });
    }

    fn open_object(&mut self) {
        self.open(Entry::Object { len: 0, end: self.open });
    }

    fn open(&mut self, container: Entry) {
        self.push(container);
        self.open = self.tree.entries.len() - 1;
    }

    fn close(&mut self) {
        let behind = self.tree.entries.len();
        if let Some(Entry::Array { end, .. } | Entry::Object { end, .. }) = self.open_entry() {
            self.open = std::mem::replace(end, behind);
        }
    }

    fn open_entry(&mut self) -> Option<&mut Entry> {
        self.tree.entries.get_mut(self.open)
    }
}

impl From<Node<'_>> for Value {
    fn from(node: Node<'_>) -> Value {
        if let Some(items) = node.items() {
            return items.map(Value::from).collect();
        }
        if let Some(fields) = node.fields() {
            let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
            return Value::Object(fields.collect::<Map<_, _>>());
        }
        node.scalar()
    }
}

#[cfg(test)]
mod tests;
