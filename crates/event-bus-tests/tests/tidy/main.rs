//! Rules of this repository that no compiler checks. Each names the file, the line and the cure.
//!
//! A rule is a function over one file; what it catches is shown by its own tests.

mod rules;
mod source;
mod tree;

use std::fmt;

use source::Source;

/// A place that breaks a rule.
#[derive(Debug)]
struct Violation {
    path: String,
    line: usize,
    cure: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.cure)
    }
}

/// What a rule is: all it finds in one file.
type Rule = fn(&Source) -> Vec<Violation>;

/// Runs one rule over the whole repository.
fn check(rule: Rule) {
    let files = tree::files();
    assert!(!files.is_empty(), "the repository's files were not found");
    let found: Vec<String> =
        files.iter().flat_map(rule).map(|violation| violation.to_string()).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

macro_rules! rules_hold {
    ($($name:ident: $rule:expr;)*) => {
        $(#[test] fn $name() { check($rule); })*
    };
}

rules_hold! {
    the_kafka_client_is_named_in_one_module_only: rules::borders::kafka_client;
    unsafe_code_is_in_the_kafka_module_only: rules::borders::unsafe_code;
    sql_is_in_the_store_only: rules::borders::sql;
    pure_modules_neither_await_nor_read_a_clock: rules::borders::pure_modules;
    the_library_does_not_know_blindstrader: rules::borders::organisation;
    crates_depend_on_what_the_design_allows: rules::manifests::dependencies;
    functions_fit_on_a_screen: rules::size::functions;
    files_can_be_read_in_one_go: rules::size::files;
    no_module_is_a_drawer_for_anything: rules::words::module_names;
    nothing_is_left_half_done: rules::words::unfinished;
    tests_wait_for_conditions_and_do_not_sleep: rules::words::sleeps;
    nothing_names_a_registry_or_a_path_of_one_machine: rules::words::places;
}
