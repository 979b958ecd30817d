//! From JSON text to a tree.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{Entry, Growing, Tree};

impl Tree {
    /// Reads JSON text. An object with a field twice is an error. Nesting is not looked at, beyond what serde_json
    /// reads at all.
    pub(crate) fn read(text: String) -> Result<Tree, serde_json::Error> {
        let mut growing = Growing::with_capacity(32);
        let mut json = serde_json::Deserializer::from_str(&text);
        Values { text: &text, growing: &mut growing }.deserialize(&mut json)?;
        json.end()?;
        Tree { text, ..growing.tree }.without_duplicates()
    }
}

/// Puts the values that come next in the text into the tree.
struct Values<'t, 'g> {
    text: &'t str,
    growing: &'g mut Growing,
}

impl<'t> Values<'t, '_> {
    fn again(&mut self) -> Values<'t, '_> {
        Values { text: self.text, growing: self.growing }
    }
}

impl<'t> DeserializeSeed<'t> for Values<'t, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Values<'t, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.growing.push(Entry::Null);
        Ok(())
    }

    fn visit_bool<E>(self, bool: bool) -> Result<(), E> {
        self.growing.push(Entry::Bool(bool));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.growing.push(Entry::Number(number.into()));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.growing.push(Entry::Number(number.into()));
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("not a finite number"))?;
        self.growing.push(Entry::Number(number));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, string: &'t str) -> Result<(), E> {
        let start = string.as_ptr().addr() - self.text.as_ptr().addr();
        self.growing.push(Entry::Plain(start..start + string.len()));
        Ok(())
    }

    /// A string that is not in the text as it is meant.
    fn visit_str<E>(self, string: &str) -> Result<(), E> {
        self.growing.push_unescaped(string);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.growing.open_array();
        while items.next_element_seed(self.again())?.is_some() {}
        self.growing.close();
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut fields: A) -> Result<(), A::Error> {
        self.growing.open_object();
        while fields.next_key_seed(self.again())?.is_some() {
            fields.next_value_seed(self.again())?;
        }
        self.growing.close();
        Ok(())
    }
}
