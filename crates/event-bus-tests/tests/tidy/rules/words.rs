//! Words that have no place here, or only one.

use crate::Violation;
use crate::source::{Source, words};

/// The file that polls a condition until a deadline.
const POLLING: &str = "crates/event-bus-conformance/src/eventually.rs";

/// The files that may sleep: that one, and the clock of torture, whose faults last as long as their plan says.
const SLEEPERS: [&str; 2] = [POLLING, "crates/event-bus-tests/src/bin/torture/clock.rs"];

/// Where tests and what they share stand.
const TESTS: [&str; 3] = [
    "crates/event-bus-tests/",
    "crates/event-bus-conformance/src/",
    "crates/event-bus-conformance/tests/",
];

/// These lists are split so that this file doesn't break its own rules.
const REGISTRIES: [&str; 10] = [
    concat!("crates", ".io"),
    concat!("repo.maven.apache", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("central.sonatype", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("docker", ".io"),
];
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/t", "mp/")];

/// What people write where they mean to come back.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

pub fn module_names(source: &Source) -> Vec<Violation> {
    const DRAWERS: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];
    if !source.is_rust() {
        return Vec::new();
    }
    let parts = source.path.trim_end_matches(".rs").split('/');
    let named = parts.filter(|part| DRAWERS.contains(part)).map(|_| 0);
    let inline = DRAWERS.iter().flat_map(|drawer| {
        words(&source.code, drawer).filter(|at| source.code[..*at].ends_with("mod "))
    });
    let cure = "name the module by the noun it is about";
    named.chain(inline).map(|at| source.violation(at, cure)).collect()
}

pub fn unfinished(source: &Source) -> Vec<Violation> {
    const MACROS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];
    let macros =
        MACROS.iter().filter(|_| source.is_rust()).flat_map(|word| words(&source.code, word));
    let marks = MARKS.iter().flat_map(|word| words(&source.text, word));
    let cure = "finish it, or file it where work is kept";
    macros.chain(marks).map(|at| source.violation(at, cure)).collect()
}

pub fn sleeps(source: &Source) -> Vec<Violation> {
    let is_ours = TESTS.iter().any(|dir| source.path.starts_with(dir));
    if !is_ours || !source.is_rust() || SLEEPERS.contains(&&*source.path) {
        return Vec::new();
    }
    let cure =
        format!("a sleep is too long or too short: poll for the condition, as {POLLING} does");
    ["sleep", "sleep_until", "sleep_ms"]
        .iter()
        .flat_map(|word| words(&source.code, word))
        // A method of that name is somebody else's; a plain function is std's or tokio's.
        .filter(|at| !source.code[..*at].ends_with("fn ") && !source.code[..*at].ends_with('.'))
        .map(|at| source.violation(at, cure.as_str()))
        .collect()
}

pub fn places(source: &Source) -> Vec<Violation> {
    let registries = REGISTRIES.iter().flat_map(|host| words(&source.text, host)).map(|at| {
        source
            .violation(at, "name packages, not registries: the machine's configuration knows them")
    });
    let paths = MACHINE_PATHS.iter().flat_map(|path| absolute(&source.text, path)).map(|at| {
        let cure = "this path is of one machine: derive it from the repository or a temporary \
                    directory";
        source.violation(at, cure)
    });
    registries.chain(paths).collect()
}

/// Where the path stands at the beginning of one, not in the middle of a longer path or an address.
fn absolute<'t>(text: &'t str, path: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(path).map(|(at, _)| at).filter(|at| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~*}>)".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::planted::count;

    #[test]
    fn a_drawer_is_caught_as_a_file_a_directory_and_a_module() {
        assert_eq!(count(module_names, "crates/a/src/utils.rs", ""), 1);
        assert_eq!(count(module_names, "crates/a/tests/common/mod.rs", ""), 1);
        assert_eq!(count(module_names, "crates/a/src/b.rs", "pub mod helpers;"), 1);
        assert_eq!(count(module_names, "crates/a/src/b.rs", "let common = 1; // mod misc"), 0);
    }

    #[test]
    fn what_is_left_half_done_is_caught() {
        let text = format!("fn f() {{ {}() }} // {}: later", "todo!", MARKS[0]);
        assert_eq!(count(unfinished, "a.rs", &text), 2);
        assert_eq!(count(unfinished, "a.md", &format!("{} this", MARKS[0])), 1);
        assert_eq!(count(unfinished, "a.rs", "fn f() { todo() } // todo! in a comment"), 0);
    }

    #[test]
    fn a_sleep_is_caught_in_tests() {
        let text = "use std::thread::sleep;\nfn f() { tokio::time::sleep(d).await }";
        for dir in TESTS {
            assert_eq!(count(sleeps, &format!("{dir}a.rs"), text), 2);
        }
        for sleeper in SLEEPERS {
            assert_eq!(count(sleeps, sleeper, text), 0);
        }
    }

    #[test]
    fn a_registry_and_a_path_of_one_machine_are_caught() {
        let text = format!("see https://{}/x and {}x\n", REGISTRIES[0], MACHINE_PATHS[0]);
        assert_eq!(count(places, "docs/a.md", &text), 2);
        let text = format!("target{0}x and https://host{0}x", MACHINE_PATHS[3]);
        assert_eq!(count(places, "docs/a.md", &text), 0);
    }
}
