//! The fuzz targets of `fuzz/`, compiled for libFuzzer by the stable compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result};

use crate::test::cargo;
use crate::{child, dirs};

/// All of them, as `fuzz/Cargo.toml` has them.
const TARGETS: [&str; 6] = ["batches", "envelope", "filters", "frames", "record", "recovery"];

/// What tells libFuzzer which code an input reached and what it was compared with: the flags that cargo-fuzz gives, without a
/// sanitizer, for these need a nightly compiler and the code is safe.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// How long one input may take, in seconds.
const LONGEST: u32 = 10;

/// Feed random bytes to what reads bytes of others, and keep what makes it panic.
#[derive(clap::Args)]
pub struct Args {
    /// Which of them [default: all, one after the other]
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// For how many seconds each
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// `cargo xtask fuzz`
pub fn run(args: &Args) -> Result<ExitCode> {
    let programs = build()?;
    let meant = args.target.as_deref();
    for target in TARGETS.into_iter().filter(|target| meant.is_none_or(|meant| meant == *target)) {
        feed(&programs, target, args.seconds)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All of them, each for so many seconds.
pub fn all(seconds: u32) -> Result<()> {
    let programs = build()?;
    TARGETS.iter().try_for_each(|target| feed(&programs, target, seconds))
}

/// Compiles them, and says where the programs are.
fn build() -> Result<PathBuf> {
    let (host, built) = (host()?, dirs::cache("fuzz-build")?);
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a target named, scripts and macros are compiled as ever.
    cargo.args(["--target", &host, "--target-dir"]).arg(&built).env("RUSTFLAGS", COVERAGE);
    child::run(&mut cargo)?;
    Ok(built.join(host).join("release"))
}

/// The machine's own target.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("-vV").output().context("rustc can't run")?;
    let told = String::from_utf8_lossy(&told.stdout);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say which machine this is")
}

fn feed(programs: &Path, target: &str, seconds: u32) -> Result<()> {
    let found = dirs::cache(&format!("fuzz/{target}"))?;
    let corpus = found.join("corpus");
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    println!("{target}, {seconds} s");
    let mut fuzzer = child::tied(programs.join(target), "TERM");
    // What is new goes into the first folder.
    fuzzer.arg(corpus).arg(dirs::root().join("fuzz/corpus").join(target));
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={LONGEST}"));
    fuzzer.arg(format!("-artifact_prefix={}/", found.display()));
    fuzzer.args(["-verbosity=0", "-print_final_stats=1"]);
    child::run(&mut fuzzer)
}
