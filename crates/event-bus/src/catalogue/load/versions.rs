use std::{io, sync::Arc};

use super::fields::{Node, Problems};
use crate::{
    catalogue::{DIALECT, Schema, SchemaError, SchemaVersion, Version, pointers},
    envelope::Tree,
    names::EventName,
};

/// Reads a schema file, given as `OrderPlaced/1.0.json`.
pub(super) type ReadSchema<'r> = &'r dyn Fn(&str) -> io::Result<String>;

/// The versions listed at `node` with their schemas, ascending; and whether all could be read.
pub(super) fn read(
    event: &EventName,
    node: &Node<'_>,
    read_schema: ReadSchema<'_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<SchemaVersion>> {
    let items = node.list(problems)?;
    if items.is_empty() {
        problems.add(node, "lists no version", "list at least one, such as \"1.0\"");
    }
    let mut versions = Vec::<SchemaVersion>::new();
    for item in &items {
        let Some(version) = item.parsed::<Version>(problems) else { continue };
        if versions.iter().any(|known| known.version == version) {
            problems.add(item, format_args!("{version} is listed twice"), "remove one of them");
            continue;
        }
        if let Some(schema) = read_one(event, version, item, read_schema, problems) {
            versions.push(SchemaVersion { version, schema: Arc::new(schema), sample: None });
        }
    }
    versions.sort_by_key(|known| known.version);
    (!versions.is_empty() && versions.len() == items.len()).then_some(versions)
}

fn read_one(
    event: &EventName,
    version: Version,
    node: &Node<'_>,
    read_schema: ReadSchema<'_>,
    problems: &mut Problems<'_>,
) -> Option<Schema> {
    let path = format!("{event}/{version}.json");
    let file = schema_file(event, version);
    let text = match read_schema(&path) {
        Ok(text) => text,
        Err(error) => {
            problems.add_in(
                file,
                &node.entry,
                format_args!("can't be read: {error}"),
                "write the schema of this version there",
            );
            return None;
        }
    };
    let json = match Tree::read(text) {
        Ok(json) => json.root().into(),
        Err(error) => {
            problems.add_in(
                file,
                &node.entry,
                format_args!("is not JSON: {error}"),
                "correct the file",
            );
            return None;
        }
    };
    let cure = |error: &SchemaError| match error {
        SchemaError::Dialect => format!("set `$schema` to \"{DIALECT}\""),
        SchemaError::Invalid(_) => {
            "correct it; references must stay inside the file, and patterns have no look-around"
                .to_owned()
        }
    };
    match Schema::compile(json) {
        Ok(schema) => Some(schema),
        Err(error) => {
            let what = format!("is not a usable schema: {error}");
            problems.add_in(file, &node.entry, what, cure(&error));
            None
        }
    }
}

/// The major that a consumer handles: the one it says, or the only one. Where there are several and it says none, it would pass
/// over events without anybody having meant it.
pub(super) fn major(
    versions: &[SchemaVersion],
    said: Option<&Node<'_>>,
    consumer: &Node<'_>,
    problems: &mut Problems<'_>,
) -> Option<u32> {
    let mut majors: Vec<u32> = versions.iter().map(|known| known.version.major).collect();
    majors.dedup();
    let listed = majors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let Some(node) = said else {
        if let [_, next, ..] = majors.as_slice() {
            problems.add(
                consumer,
                format_args!("does not say which major it handles, of {listed}"),
                format_args!("add `major = {}`, or `major = {next}`", majors[0]),
            );
            return None;
        }
        // Without any version there is a problem already.
        return majors.first().copied().or(Some(0));
    };
    let major = node.whole(problems)?;
    if !majors.is_empty() && !majors.contains(&major) {
        problems.add(
            node,
            format_args!("no version of major {major} is listed"),
            format_args!("write one of {listed}, or add a version"),
        );
        return None;
    }
    Some(major)
}

/// Notes each version whose valid payloads may have no key field at `pointer`, given from the
/// payload down.
pub(super) fn check_key_field(
    event: &EventName,
    versions: &[SchemaVersion],
    pointer: &str,
    node: &Node<'_>,
    problems: &mut Problems<'_>,
) {
    for known in versions {
        if let Some(why) = pointers::why_not_certain(known.schema.json(), pointer) {
            let file = schema_file(event, known.version);
            let cure =
                "make the field a required string or integer there, or choose another for the key";
            problems.add_in(file, &node.entry, why, cure);
        }
    }
}

/// Notes a pointer, given from the payload down, that leads nowhere in every version's schema.
pub(super) fn check_described(
    versions: &[SchemaVersion],
    pointer: &str,
    node: &Node<'_>,
    problems: &mut Problems<'_>,
) {
    if !versions.iter().any(|known| pointers::describes(known.schema.json(), pointer)) {
        problems.add(
            node,
            format_args!("no version's schema describes {pointer} in the payload"),
            "correct the pointer (`/lines/*/sku` passes through an array), or add the field to the schema",
        );
    }
}

fn schema_file(event: &EventName, version: Version) -> String {
    format!("schemas/{event}/{version}.json")
}
