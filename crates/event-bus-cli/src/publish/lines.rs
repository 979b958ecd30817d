use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::thread;

use anyhow::Context;
use tokio::sync::mpsc;

/// Lines read ahead.
const AHEAD: usize = 1_000;

/// A line of the input.
#[derive(Debug)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Without the line break.
    pub bytes: Vec<u8>,
}

/// The lines of a file or of stdin that are not blank, read on a thread of their own, for reading may block.
pub struct Lines {
    lines: mpsc::Receiver<io::Result<Line>>,
    total: Option<u64>,
    name: String,
}

impl Lines {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::start(io::stdin(), None, "stdin".to_owned());
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|mut file| {
            let total = total(&mut file)?;
            Ok((file, total))
        });
        let (file, total) = opened.with_context(|| format!("{name} can't be read"))?;
        Self::start(file, total, name)
    }

    fn start(
        input: impl Read + Send + 'static,
        total: Option<u64>,
        name: String,
    ) -> anyhow::Result<Self> {
        let (sender, lines) = mpsc::channel(AHEAD);
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            for (number, line) in (1..).zip(BufReader::new(input).split(b'\n')) {
                let line = line.map(|bytes| Line { number, bytes });
                let is_blank = line.as_ref().is_ok_and(|line| line.bytes.trim_ascii().is_empty());
                if !is_blank && sender.blocking_send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { lines, total, name })
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Line>> {
        self.lines.recv().await.transpose().with_context(|| format!("{} can't be read", self.name))
    }

    /// How many lines there are, blank ones among them, where that can be known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// Counts the lines of a file that can be read twice.
fn total(file: &mut File) -> io::Result<Option<u64>> {
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut count = 0;
    for line in BufReader::new(&mut *file).split(b'\n') {
        line?;
        count += 1;
    }
    file.rewind()?;
    Ok(Some(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blank_lines_are_counted_and_left_out() {
        let input = io::Cursor::new("{}\n\n \r\n{\"a\":1}");
        let mut lines = Lines::start(input, None, "test".to_owned()).unwrap();
        let mut found = Vec::new();
        while let Some(Line { number, bytes }) = lines.next().await.unwrap() {
            found.push((number, String::from_utf8(bytes).unwrap()));
        }
        assert_eq!(found, [(1, "{}".to_owned()), (4, "{\"a\":1}".to_owned())]);
    }
}
