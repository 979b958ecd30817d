use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    ParseError, SealError, check_nesting,
    tree::{Node, Tree, Written},
};
use crate::limits::MAX_NESTING;

/// A payload: its JSON text as it travels, no deeper than allowed and without a field twice.
#[derive(Clone, Debug)]
pub struct Payload {
    tree: Tree,
}

impl Payload {
    /// Serialises a typed payload, once: what is checked is what is sent.
    pub fn of<T: Serialize + ?Sized>(payload: &T) -> Result<Payload, SealError> {
        let written = Written::of(payload).map_err(SealError::Serialise)?;
        check_nesting(written.text().as_bytes(), PAYLOAD_LEVELS)?;
        let tree = written.into_tree().map_err(ParseError::of_json)?;
        Ok(Payload { tree })
    }

    /// Takes JSON text as it stands; field order and number spelling are kept.
    pub fn parse(json: impl Into<String>) -> Result<Payload, ParseError> {
        let json = json.into();
        check_nesting(json.as_bytes(), PAYLOAD_LEVELS)?;
        let tree = Tree::read(json).map_err(ParseError::of_json)?;
        Ok(Payload { tree })
    }

    /// The JSON text.
    pub fn json(&self) -> &str {
        self.tree.text()
    }

    /// The payload as a value of its own.
    pub fn to_value(&self) -> Value {
        self.root().into()
    }

    /// Reads the payload as a Rust type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.json())
    }

    /// The payload as its schema and its ordering key see it.
    pub(crate) fn root(&self) -> Node<'_> {
        self.tree.root()
    }
}

/// The envelope around a payload is a level of its own.
const PAYLOAD_LEVELS: usize = MAX_NESTING - 1;
