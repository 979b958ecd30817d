//! How a tree is looked at: by the library itself, and by the schema check.

use std::borrow::Cow;
use std::ptr;

use jsonschema::JsonType;
use jsonschema::json::{self, Json, NodeIdentity, cmp};
use serde_json::{Number, Value};

use super::{Entry, Tree};

/// A value in a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    tree: &'a Tree,
    at: usize,
}

/// The items of an array, and the iterator over them.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a> {
    next: Node<'a>,
    len: usize,
}

/// The fields of an object, and the iterator over them.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    next: Node<'a>,
    len: usize,
}

/// Trees as instances of a JSON Schema.
pub(crate) struct TreeJson;

impl<'a> Node<'a> {
    pub(super) fn new(tree: &'a Tree, at: usize) -> Node<'a> {
        Node { tree, at }
    }

    fn entry(self) -> &'a Entry {
        &self.tree.entries[self.at]
    }

    /// What stands behind this value and all that it holds.
    #[inline]
    fn behind(self) -> Node<'a> {
        Node { at: self.tree.behind(self.at), ..self }
    }

    #[inline]
    pub(crate) fn string(self) -> Option<&'a str> {
        match self.entry() {
            Entry::Plain(range) => Some(&self.tree.text[range.clone()]),
            Entry::Unescaped(range) => Some(&self.tree.unescaped[range.clone()]),
            _ => None,
        }
    }

    pub(crate) fn number(self) -> Option<&'a Number> {
        match self.entry() {
            Entry::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn items(self) -> Option<Items<'a>> {
        match *self.entry() {
            Entry::Array { len, .. } => Some(Items { next: Node { at: self.at + 1, ..self }, len }),
            _ => None,
        }
    }

    pub(crate) fn fields(self) -> Option<Fields<'a>> {
        match *self.entry() {
            Entry::Object { len, .. } => {
                Some(Fields { next: Node { at: self.at + 1, ..self }, len: len / 2 })
            }
            _ => None,
        }
    }

    /// The value of an object's field.
    pub(crate) fn field(self, name: &str) -> Option<Node<'a>> {
        self.fields()?.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The value, if it holds no others; null otherwise.
    pub(super) fn scalar(self) -> Value {
        match self.entry() {
            Entry::Bool(bool) => Value::Bool(*bool),
            Entry::Number(number) => Value::Number(number.clone()),
            Entry::Plain(_) | Entry::Unescaped(_) => self.string().into(),
            Entry::Null | Entry::Array { .. } | Entry::Object { .. } => Value::Null,
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        self.len = self.len.checked_sub(1)?;
        let item = self.next;
        self.next = item.behind();
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Node<'a>);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, Node<'a>)> {
        self.len = self.len.checked_sub(1)?;
        let name = self.next;
        let value = name.behind();
        self.next = value.behind();
        Some((name.string().unwrap_or_default(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Items<'_> {}
impl ExactSizeIterator for Fields<'_> {}

impl Json for TreeJson {
    type Node<'a> = Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = Tree;

    /// Looking a field up walks over the object, so it is never better than looking at all fields once.
    const KEYS_PER_LOOKUP: usize = 4;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(buffer: &mut Tree, string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        buffer.text.clear();
        buffer.text.push_str(string);
        buffer.entries.clear();
        buffer.entries.push(Entry::Plain(0..string.len()));
        f(buffer.root())
    }
}

impl<'a> json::Node<'a, TreeJson> for Node<'a> {
    type Object = Fields<'a>;
    type Array = Items<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Fields<'a>> {
        self.fields()
    }

    fn as_array(&self) -> Option<Items<'a>> {
        self.items()
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.string().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        self.number()
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.entry() {
            Entry::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.entry(), Entry::Null)
    }

    fn json_type(&self) -> JsonType {
        match self.entry() {
            Entry::Null => JsonType::Null,
            Entry::Bool(_) => JsonType::Boolean,
            Entry::Number(_) => JsonType::Number,
            Entry::Plain(_) | Entry::Unescaped(_) => JsonType::String,
            Entry::Array { .. } => JsonType::Array,
            Entry::Object { .. } => JsonType::Object,
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let string = self.string()?;
        // A character takes one to four bytes: often their number says enough.
        let bytes = string.len() as u64;
        let is_within = |characters: u64| (min..=max).contains(&characters);
        if is_within(bytes) && is_within(bytes.div_ceil(4)) {
            return Some(true);
        }
        Some(is_within(string.chars().count() as u64))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match expected {
            Value::String(text) => self.string() == Some(text),
            expected => cmp::equal(&Value::from(*self), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::from(*self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(ptr::from_ref(self.entry()).addr()))
    }
}

impl<'a> json::Object<'a, TreeJson> for Fields<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Fields<'a>;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, key: &Box<str>) -> Option<Node<'a>> {
        self.clone().find(|(name, _)| *name == &**key).map(|(_, value)| value)
    }

    fn members(&self) -> Fields<'a> {
        self.clone()
    }
}

impl<'a> json::Array<'a, TreeJson> for Items<'a> {
    type Node = Node<'a>;
    type ElementsIter = Items<'a>;

    fn len(&self) -> usize {
        self.len
    }

    fn elements(&self) -> Items<'a> {
        self.clone()
    }
}
