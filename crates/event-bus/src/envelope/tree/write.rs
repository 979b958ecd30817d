//! From a Rust value to JSON text and its tree in one pass.
//!
//! The text is, byte for byte, what serde_json writes. Were it written by serde_json, it would have to be read back to
//! know where each value stands, which takes three times as long.

use serde::ser::{self, Error as _, Serialize, Serializer};
use serde_json::{Error, Number};

use super::{Entry, Growing, NOWHERE, Tree};

/// A Rust value as JSON text.
#[derive(Debug)]
pub(crate) struct Written {
    text: String,
    /// Without the text; absent where the text must be read to know.
    tree: Option<Tree>,
    may_repeat: bool,
}

impl Written {
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Written, Error> {
        let mut writing = Writing {
            text: Vec::with_capacity(512),
            growing: Growing::with_capacity(32),
            is_noted: true,
            may_repeat: false,
        };
        value.serialize(&mut writing)?;
        let Writing { text, growing, is_noted, may_repeat } = writing;
        let is_noted = is_noted && growing.open == NOWHERE;
        let text = String::from_utf8(text).map_err(Error::custom)?;
        Ok(Written { text, tree: is_noted.then_some(growing.tree), may_repeat })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As [`Tree::read`] of the text.
    pub(crate) fn into_tree(self) -> Result<Tree, Error> {
        let Some(tree) = self.tree else { return Tree::read(self.text) };
        let tree = Tree { text: self.text, ..tree };
        if self.may_repeat { tree.without_duplicates() } else { Ok(tree) }
    }
}

/// The text so far and what stands where in it.
struct Writing {
    text: Vec<u8>,
    growing: Growing,
    /// Whether all that was written was noted.
    is_noted: bool,
    /// Whether an object may have a field twice.
    may_repeat: bool,
}

/// An array or object that is being written.
struct Compound<'w> {
    writing: &'w mut Writing,
    is_empty: bool,
    /// A name was written and its value was not.
    is_value_due: bool,
    /// A bit for each name, by [`mark`].
    names: u64,
    /// What closes it, and then a variant around it. Raw JSON has no brackets of its own.
    end: &'static [u8],
}

/// serde_json's own types pass what is JSON already as a struct whose name begins so.
const RAW_JSON: &str = "$serde_json::private::";

impl Writing {
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let result = value.serialize(&mut *self);
        // Whoever goes on after an error leaves behind it what was written until then.
        self.is_noted &= result.is_ok();
        result
    }

    fn string(&mut self, string: &str) -> Result<(), Error> {
        if string.bytes().any(|byte| IS_ESCAPED[usize::from(byte)]) {
            self.growing.push_unescaped(string);
            return serde_json::to_writer(&mut self.text, string);
        }
        self.text.reserve(string.len() + 2);
        self.text.push(b'"');
        let start = self.text.len();
        self.text.extend_from_slice(string.as_bytes());
        self.growing.push(Entry::Plain(start..self.text.len()));
        self.text.push(b'"');
        Ok(())
    }

    fn integer<I: Serialize + Into<Number> + Copy>(&mut self, integer: I) -> Result<(), Error> {
        self.growing.push(Entry::Number(integer.into()));
        serde_json::to_writer(&mut self.text, &integer)
    }

    fn float(&mut self, float: f64) -> Result<(), Error> {
        let Some(number) = Number::from_f64(float) else { return self.serialize_unit() };
        self.growing.push(Entry::Number(number));
        serde_json::to_writer(&mut self.text, &float)
    }

    /// Notes a number as it will be read: no wider than 64 bits, and null if it is none.
    fn any_number<N: Serialize>(&mut self, number: N) -> Result<(), Error> {
        let start = self.text.len();
        serde_json::to_writer(&mut self.text, &number)?;
        let read: Option<Number> = serde_json::from_slice(&self.text[start..])?;
        self.growing.push(read.map_or(Entry::Null, Entry::Number));
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), Error> {
        self.string(name)?;
        self.text.push(b':');
        Ok(())
    }

    fn array(&mut self, end: &'static [u8]) -> Compound<'_> {
        self.text.push(b'[');
        self.growing.open_array();
        self.compound(end)
    }

    fn object(&mut self, end: &'static [u8]) -> Compound<'_> {
        self.text.push(b'{');
        self.growing.open_object();
        self.compound(end)
    }

    fn compound(&mut self, end: &'static [u8]) -> Compound<'_> {
        Compound { writing: self, is_empty: true, is_value_due: false, names: 0, end }
    }

    /// The one field of an object that tells the variant, up to its value.
    fn variant(&mut self, name: &str) -> Result<(), Error> {
        self.text.push(b'{');
        self.growing.open_object();
        self.name(name)
    }

    fn close(&mut self, bracket: u8) {
        self.text.push(bracket);
        self.growing.close();
    }
}

impl Compound<'_> {
    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.writing.text.push(b',');
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.separate();
        self.writing.value(item)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.name(name)?;
        self.writing.value(value)
    }

    fn name(&mut self, name: &str) -> Result<(), Error> {
        self.separate();
        let mark = mark(name);
        self.writing.may_repeat |= self.names & mark != 0;
        self.names |= mark;
        self.writing.name(name)
    }

    /// A name that may be of any type which serde_json takes for one.
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let json = serde_json::to_string(key)?;
        match json.as_bytes() {
            [b'"', ..] => self.name(&serde_json::from_str::<String>(&json)?),
            [b'[' | b'{' | b'n', ..] => Err(Error::custom("key must be a string")),
            _ => self.name(&json),
        }
    }

    fn raw_json<T: Serialize + ?Sized>(&mut self, json: &T) -> Result<(), Error> {
        self.writing.is_noted = false;
        let json: String = serde_json::from_value(serde_json::to_value(json)?)?;
        self.writing.text.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn close(self) -> Result<(), Error> {
        self.writing.is_noted &= !self.is_value_due;
        for bracket in self.end {
            self.writing.close(*bracket);
        }
        Ok(())
    }
}

/// One of 64 bits, the same for the same name: as long as all of an object's names have different ones, none is there
/// twice.
fn mark(name: &str) -> u64 {
    let [first, .., last] = name.as_bytes() else { return 1 };
    1 << ((name.len() + 5 * usize::from(*first) + 11 * usize::from(*last)) % 64)
}

/// The bytes that JSON writes otherwise in a string.
const IS_ESCAPED: [bool; 256] = {
    let mut is_escaped = [false; 256];
    let mut control = 0;
    while control < b' ' {
        is_escaped[control as usize] = true;
        control += 1;
    }
    is_escaped[b'"' as usize] = true;
    is_escaped[b'\\' as usize] = true;
    is_escaped
};

macro_rules! scalars {
    ($($serialize:ident($scalar:ty) => $write:ident),* $(,)?) => {$(
        fn $serialize(self, scalar: $scalar) -> Result<(), Error> {
            self.$write(scalar)
        }
    )*};
}

impl<'w> Serializer for &'w mut Writing {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = Compound<'w>;
    type SerializeMap = Compound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = Compound<'w>;

    scalars! {
        serialize_i8(i8) => integer,
        serialize_i16(i16) => integer,
        serialize_i32(i32) => integer,
        serialize_i64(i64) => integer,
        serialize_i128(i128) => any_number,
        serialize_u8(u8) => integer,
        serialize_u16(u16) => integer,
        serialize_u32(u32) => integer,
        serialize_u64(u64) => integer,
        serialize_u128(u128) => any_number,
        serialize_f32(f32) => any_number,
        serialize_f64(f64) => float,
        serialize_str(&str) => string,
    }

    fn serialize_bool(self, bool: bool) -> Result<(), Error> {
        self.growing.push(Entry::Bool(bool));
        self.text.extend_from_slice(if bool { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<(), Error> {
        self.string(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.collect_seq(bytes)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.growing.push(Entry::Null);
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.string(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant)?;
        self.value(value)?;
        self.close(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        Ok(self.array(b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'w>, Error> {
        Ok(self.array(b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        Ok(self.array(b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.variant(variant)?;
        Ok(self.array(b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        Ok(self.object(b"}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        if name.starts_with(RAW_JSON) {
            return Ok(self.compound(b""));
        }
        Ok(self.object(b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.variant(variant)?;
        Ok(self.object(b"}}"))
    }
}

macro_rules! arrays {
    ($($kind:ident::$serialize:ident),*) => {$(
        impl ser::$kind for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn $serialize<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
                self.item(item)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

arrays! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.writing.is_noted &= !std::mem::replace(&mut self.is_value_due, true);
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.writing.is_noted &= std::mem::take(&mut self.is_value_due);
        self.writing.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if self.end.is_empty() { self.raw_json(value) } else { self.field(name, value) }
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeStructVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}
