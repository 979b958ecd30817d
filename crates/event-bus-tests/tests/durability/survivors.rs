//! What a machine that loses its power keeps at least: bytes that a sync covered, in files whose directory was synced
//! after they came into it. Pure, but for [`Survivors::cut`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::on_disk;

/// What becomes of bytes that no sync covered.
#[derive(Clone, Copy, Debug)]
pub enum Unsynced {
    /// The file ends before them.
    Lost,
    /// The file's length arrived, its bytes did not.
    Zeroed,
}

/// Files as a trace of system calls tells them.
#[derive(Debug, Default)]
pub struct Survivors {
    /// Where each file ends.
    written: BTreeMap<PathBuf, u64>,
    /// How much of it a sync covered.
    synced: BTreeMap<PathBuf, u64>,
    /// New files and directories whose own directory was not synced since.
    unlisted: BTreeSet<PathBuf>,
    /// Syncs that have begun, by thread: the file, and where it ended then.
    syncing: BTreeMap<String, (PathBuf, u64)>,
}

impl Survivors {
    /// The files below a directory, all of them durable.
    pub fn below(directory: &Path) -> Self {
        let files = if directory.exists() { on_disk::files(directory) } else { Vec::new() };
        let lengths = files.into_iter().map(|file| {
            let bytes = fs::metadata(&file).expect("the file is there").len();
            (file, bytes)
        });
        let lengths: BTreeMap<_, _> = lengths.collect();
        Self { written: lengths.clone(), synced: lengths, ..Self::default() }
    }

    /// Follows the calls of a trace by strace, in their order.
    ///
    /// A call that another thread's call interrupts stands on two lines. A sync covers what had been written when it
    /// began, once it has returned.
    pub fn follow(&mut self, trace: &str) {
        let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
        for line in trace.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
                self.begin(thread, begin);
                begun.insert(thread, begin);
            } else if call.starts_with("<... ") {
                let begin = begun.remove(thread).unwrap_or_default();
                let end = call.split_once(" resumed>").map_or("", |(_, end)| end);
                self.end(thread, &format!("{begin}{end}"));
            } else {
                self.begin(thread, call);
                self.end(thread, call);
            }
        }
    }

    fn begin(&mut self, thread: &str, call: &str) {
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            let path = descriptor(call);
            let bytes = self.written.get(&path).copied().unwrap_or(0);
            self.syncing.insert(thread.to_owned(), (path, bytes));
        }
    }

    fn end(&mut self, thread: &str, call: &str) {
        let Some((call, result)) = call.rsplit_once(" = ") else { return };
        if result.starts_with(['-', '?']) {
            return;
        }
        let (name, arguments) = call.split_once('(').unwrap_or_default();
        let arguments = arguments.trim_end().trim_end_matches(')');
        // Numbers stand behind paths and buffers.
        let mut numbers = arguments.rsplit(", ").map_while(|word| word.parse::<u64>().ok());
        let result_bytes = || result.split(' ').next().and_then(|word| word.parse::<u64>().ok());
        match name {
            "pwrite64" => {
                let from = numbers.next().expect("a write has a position");
                let end = from + result_bytes().expect("a write says how much");
                let written = self.written.entry(descriptor(call)).or_default();
                *written = end.max(*written);
            }
            "write" => {
                let written = self.written.entry(descriptor(call)).or_default();
                *written += result_bytes().expect("a write says how much");
            }
            "ftruncate" => {
                let (path, end) = (descriptor(call), numbers.next().expect("a cut has a length"));
                self.synced.entry(path.clone()).and_modify(|synced| *synced = end.min(*synced));
                self.written.insert(path, end);
            }
            "fsync" | "fdatasync" => {
                let Some((path, bytes)) = self.syncing.remove(thread) else { return };
                self.unlisted.retain(|new| new.parent() != Some(&path));
                self.synced.insert(path, bytes);
            }
            "openat" if arguments.contains("O_CREAT") => self.create(descriptor(result)),
            "mkdir" => self.create(quoted(arguments).next().expect("a directory has a path")),
            "rename" | "renameat" | "renameat2" => self.rename(quoted(arguments)),
            _ => {}
        }
    }

    fn create(&mut self, path: PathBuf) {
        if !self.written.contains_key(&path) {
            self.written.insert(path.clone(), 0);
            self.unlisted.insert(path);
        }
    }

    fn rename(&mut self, mut paths: impl Iterator<Item = PathBuf>) {
        let (from, to) = (paths.next().expect("an old name"), paths.next().expect("a new name"));
        let existed = self.written.contains_key(&to);
        for lengths in [&mut self.written, &mut self.synced] {
            match lengths.remove(&from) {
                Some(bytes) => lengths.insert(to.clone(), bytes),
                None => lengths.remove(&to),
            };
        }
        self.unlisted.remove(&from);
        // Where there was a file of that name, either may be found; the new one is what is tested.
        if !existed {
            self.unlisted.insert(to);
        }
    }

    /// Takes from the files what would not have survived, and says how many bytes and entries that was.
    pub fn cut(&self, directory: &Path, unsynced: Unsynced) -> u64 {
        let mut taken = 0;
        for path in self.unlisted.iter().filter(|path| path.starts_with(directory)) {
            if path.is_dir() {
                fs::remove_dir_all(path).expect("a directory can be removed");
            } else if path.exists() {
                fs::remove_file(path).expect("a file can be removed");
            } else {
                continue;
            }
            taken += 1;
        }
        for path in self.written.keys().filter(|path| path.starts_with(directory) && path.is_file())
        {
            let keep = self.synced.get(path).copied().unwrap_or(0);
            let file = File::options().write(true).open(path).expect("a file can be opened");
            let bytes = file.metadata().expect("the file is there").len();
            if bytes <= keep {
                continue;
            }
            taken += bytes - keep;
            match unsynced {
                Unsynced::Lost => file.set_len(keep).expect("a file can be cut"),
                Unsynced::Zeroed => {
                    let zeros = vec![0; usize::try_from(bytes - keep).expect("it fits")];
                    file.write_all_at(&zeros, keep).expect("a file can be written");
                }
            }
        }
        taken
    }
}

/// The path behind a descriptor, as `3</path>`.
fn descriptor(call: &str) -> PathBuf {
    let path = call.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    PathBuf::from(path.map_or("", |(path, _)| path))
}

fn quoted(arguments: &str) -> impl Iterator<Item = PathBuf> {
    arguments.split('"').skip(1).step_by(2).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(trace: &str) -> Survivors {
        let mut survivors = Survivors::default();
        survivors.follow(trace);
        survivors
    }

    fn synced(trace: &str) -> u64 {
        after(trace).synced.get(Path::new("/d/f")).copied().unwrap_or(0)
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let write = r#"1 pwrite64(3</d/f>, ""..., 70, 30) = 70"#;
        let sync = "2 fdatasync(3</d/f>)    = 0";
        assert_eq!(synced(&format!("{write}\n{sync}\n")), 100);
        assert_eq!(synced(&format!("{sync}\n{write}\n")), 0);
        assert_eq!(
            synced(&format!("{write}\n2 fdatasync(3</d/f>) = -1 EIO (Input/output error)\n")),
            0
        );
        let early = "2 fdatasync(3</d/f> <unfinished ...>";
        let late = "2 <... fdatasync resumed>) = 0";
        assert_eq!(synced(&format!("{early}\n{write}\n{late}\n")), 0);
        assert_eq!(synced(&format!("{write}\n{early}\n{late}\n")), 100);
        assert_eq!(synced(&format!("{write}\n{early}\n2 +++ killed by SIGKILL +++\n")), 0);
    }

    #[test]
    fn what_is_cut_off_is_not_covered_any_more() {
        let trace = "1 write(3</d/f>, \"\"..., 50) = 50\n1 fsync(3</d/f>) = 0\n1 ftruncate(3</d/f>, 20) = 0\n";
        assert_eq!(synced(trace), 20);
    }

    #[test]
    fn a_new_file_survives_with_its_directory() {
        let create = "1 openat(AT_FDCWD</>, \"/d/f\", O_WRONLY|O_CREAT, 0666) = 3</d/f>\n";
        assert!(after(create).unlisted.contains(Path::new("/d/f")));
        assert!(after(&format!("{create}1 fsync(4</d>) = 0\n")).unlisted.is_empty());
        let renamed = after(&format!("{create}1 rename(\"/d/f\", \"/d/g\") = 0\n"));
        assert_eq!(renamed.unlisted, BTreeSet::from([PathBuf::from("/d/g")]));
    }
}
