//! The repository's text files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// Directories that hold nothing of ours.
const SKIPPED: [&str; 3] = [".git", "target", "node_modules"];

/// What is written by people; data and pictures are left out.
const EXTENSIONS: [&str; 16] = [
    "css",
    "go",
    "html",
    "java",
    "js",
    "json",
    "md",
    "properties",
    "py",
    "rs",
    "sh",
    "sql",
    "toml",
    "xml",
    "yaml",
    "yml",
];

/// All text files of the repository, with paths relative to its root.
pub fn files() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two levels below the root");
    let mut paths = Vec::new();
    collect(root, &mut paths);
    paths.sort();
    paths.iter().map(|path| read(root, path)).collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).expect("a directory of the repository can be read");
    for entry in entries {
        let path = entry.expect("a directory of the repository can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&path, paths);
        } else if path.is_file() && is_text(&path) {
            paths.push(path);
        }
    }
}

fn is_text(path: &Path) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => EXTENSIONS.contains(&extension),
        // Scripts such as `.ci/run`.
        None => true,
    }
}

fn read(root: &Path, path: &Path) -> Source {
    let relative = path.strip_prefix(root).expect("the walk began at the root");
    let bytes = fs::read(path).expect("a file of the repository can be read");
    Source::new(&relative.to_string_lossy(), &String::from_utf8_lossy(&bytes))
}
