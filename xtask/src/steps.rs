//! A run of several steps that goes on after a failed one and tells at the end how each went.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::child;

/// How one step went.
enum Outcome {
    Passed,
    Failed,
    LeftOut(&'static str),
}

/// The steps so far.
#[derive(Default)]
pub struct Steps {
    done: Vec<(&'static str, Duration, Outcome)>,
}

impl Steps {
    /// Runs a step, and tells whether it passed. After an interrupt no further step is run.
    pub fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        if child::interrupted() {
            self.leave_out(name, "interrupted");
            return false;
        }
        println!("\n=== {name}");
        let start = Instant::now();
        let result = step();
        let passed = result.is_ok();
        if let Err(error) = result {
            eprintln!("{name}: {error:#}");
        }
        let outcome = if passed { Outcome::Passed } else { Outcome::Failed };
        self.done.push((name, start.elapsed(), outcome));
        passed
    }

    /// Notes a step that cannot be run; the run has failed then.
    pub fn leave_out(&mut self, name: &'static str, reason: &'static str) {
        self.done.push((name, Duration::ZERO, Outcome::LeftOut(reason)));
    }

    /// Prints a line a step, and returns the exit code of the whole run.
    pub fn report(&self) -> ExitCode {
        println!("\n=== result");
        for (name, took, outcome) in &self.done {
            let seconds = took.as_secs_f64();
            match outcome {
                Outcome::Passed => println!("passed    {seconds:7.1} s  {name}"),
                Outcome::Failed => println!("FAILED    {seconds:7.1} s  {name}"),
                Outcome::LeftOut(reason) => println!("LEFT OUT             {name}: {reason}"),
            }
        }
        let all_passed = self.done.iter().all(|(_, _, outcome)| matches!(outcome, Outcome::Passed));
        if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
