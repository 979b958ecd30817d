//! The pictures of the panel's pages in `docs/screenshots`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::test::{ALL, cargo, set_up};
use crate::{axe, child, dirs};

/// Take a picture of each page of the panel, light and dark.
#[derive(clap::Args)]
pub struct Args {}

/// `cargo xtask screenshots`
pub fn run(_: &Args) -> Result<ExitCode> {
    set_up()?;
    let pictures = dirs::root().join("docs/screenshots");
    if pictures.exists() {
        fs::remove_dir_all(&pictures)
            .with_context(|| format!("cannot remove {}", pictures.display()))?;
    }
    fs::create_dir_all(&pictures)
        .with_context(|| format!("cannot create {}", pictures.display()))?;
    // The test that looks at each page does it; it needs no server but the program.
    child::run(cargo().arg("build").args(ALL).args(["--bin", "event-bus"]))?;
    let mut test = cargo();
    test.arg("test").args(ALL).args([
        "--test",
        "it",
        "each_page_is_for_everybody",
        "--",
        "--nocapture",
    ]);
    test.env("EVENT_BUS_TEST_BIN", dirs::target()?.join("debug").join("event-bus"));
    test.env("EVENT_BUS_TEST_AXE", axe::script()?);
    test.env("EVENT_BUS_TEST_PICTURES", &pictures);
    child::run(&mut test)?;
    println!("the pictures are in {}", pictures.display());
    Ok(ExitCode::SUCCESS)
}
