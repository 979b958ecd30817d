//! How long a function and a file may be.

use crate::Violation;
use crate::source::{Source, closing_brace, words};

/// What a screen shows; a longer function has a part that deserves a name.
const MAX_FUNCTION_LINES: usize = 70;

/// What can be read in one go; a longer file has a second noun in it.
const MAX_FILE_LINES: usize = 500;

/// Functions outside of tests: a test may tell a long story.
pub fn functions(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    words(&source.code, "fn ")
        .filter(|at| !source.is_test_at(*at))
        .filter_map(|at| {
            let lines = body_lines(&source.code, at)?;
            let cure = format!(
                "this function has {lines} lines, and {MAX_FUNCTION_LINES} are allowed: give a part \
                 of it a name"
            );
            (lines > MAX_FUNCTION_LINES).then(|| source.violation(at, cure))
        })
        .collect()
}

/// The lines between the braces of the function that begins at `start`; `None` without a body.
fn body_lines(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut open = None;
    for (offset, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => {
                open = Some(offset);
                break;
            }
            _ => {}
        }
    }
    let open = open?;
    let body = &code[open..closing_brace(code, open)];
    Some(body.matches('\n').count().saturating_sub(1))
}

pub fn files(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    if !source.is_rust() || lines <= MAX_FILE_LINES {
        return Vec::new();
    }
    let cure = format!(
        "this file has {lines} lines, and {MAX_FILE_LINES} are allowed: move one of its nouns into \
         a file of its own"
    );
    vec![source.violation(source.text.len(), cure)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::planted::count;

    fn function_of(lines: usize) -> String {
        format!("pub fn f(x: [u8; 2]) -> T\nwhere T: Default {{\n{}}}\n", "  g();\n".repeat(lines))
    }

    #[test]
    fn a_function_of_71_lines_is_caught() {
        assert_eq!(count(functions, "crates/a/src/b.rs", &function_of(70)), 0);
        assert_eq!(count(functions, "crates/a/src/b.rs", &function_of(71)), 1);
        assert_eq!(count(functions, "crates/a/tests/b.rs", &function_of(71)), 0);
    }

    #[test]
    fn a_declaration_has_no_body() {
        assert_eq!(body_lines("fn f(x: [u8; 2]);\nimpl X {\n\n}", 0), None);
        assert_eq!(body_lines("fn f() { g() }", 0), Some(0));
    }

    #[test]
    fn a_file_of_501_lines_is_caught() {
        assert_eq!(count(files, "a.rs", &"\n".repeat(500)), 0);
        assert_eq!(count(files, "a.rs", &"\n".repeat(501)), 1);
    }
}
