//! Opens a log on disk: reads every batch, and tells a write that a crash cut short from damage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::BatchHeader;
use super::checkpoint::{Checkpoint, Marks};
use super::damage::{Damage, Flaw};
use super::segment::{self, Data, Segment};
use super::{FlushError, Log, LogSettings, OpenError, Place, ReadError, remove_file, sync_dir_of};

/// The checkpoint's name in a log's directory.
const CHECKPOINT: &str = "checkpoint";
/// How many bytes of a broken tail are read at once in search of an intact batch.
const MAX_SEARCHED_BYTES: u64 = 256 * 1024 * 1024;

pub(super) fn open(
    dir: &Path,
    settings: LogSettings,
    mut seen: impl FnMut(&BatchHeader),
) -> Result<Log, OpenError> {
    let at = |source| OpenError::Io { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(at)?;
    let mut bases = files(dir)?;
    let checkpoint = checkpoint(dir, &bases)?;
    let Marks { start, durable_end, compacted_end } = checkpoint.marks();
    drop_before(dir, start, &mut bases)?;
    if bases.is_empty() {
        bases.push(start);
    }
    let mut log = Log {
        place: Some(Place { dir: dir.to_owned(), checkpoint: checkpoint.clone() }),
        settings,
        segments: Vec::with_capacity(bases.len()),
        start_offset: start,
        compacted_end,
    };
    for (nth, base) in bases.iter().enumerate() {
        let is_last = nth + 1 == bases.len();
        let durable_end = is_last.then_some(durable_end);
        log.take_segment(dir, *base, durable_end, &mut seen)?;
    }
    if log.end_offset() < durable_end.max(start) {
        let end = durable_end.max(start);
        return Err(damage(log.active(), log.end_offset(), Flaw::Missing { end }).into());
    }
    log.settle(durable_end).map_err(at)??;
    Ok(log)
}

impl Log {
    /// Makes durable what may not be so yet. After a clean close there is nothing, which makes starting fast.
    fn settle(&self, durable_end: i64) -> io::Result<Result<(), FlushError>> {
        let active = self.active();
        let Data::File(file) = &active.data else { return Ok(Ok(())) };
        if active.len > 0 && active.end_offset == durable_end {
            file.is_durable_up_to(durable_end);
            return Ok(Ok(()));
        }
        // The entries of files that were made a moment before a crash, and of the directory itself.
        sync_dir_of(file.path())?;
        sync_dir_of(file.path().parent().unwrap_or(Path::new(".")))?;
        // What was written before the crash and is intact is served from now on.
        file.wrote_up_to(active.end_offset);
        Ok(file.sync())
    }

    /// Opens the segment at `base` and puts it behind those that there are.
    fn take_segment(
        &mut self,
        dir: &Path,
        base: i64,
        durable_end: Option<i64>,
        seen: &mut impl FnMut(&BatchHeader),
    ) -> Result<(), OpenError> {
        let path = dir.join(segment::file_name(base));
        let place = self.place.as_ref().expect("a log that is recovered is on disk");
        let data = Data::open(path.clone(), base, &place.checkpoint, &self.settings.disk_faults)
            .map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let segment = Segment::new(base, data);
        // The first one may begin before the start, each other one exactly where its predecessor ends.
        let expected =
            self.segments.last().map_or(base.min(self.start_offset), |last| last.end_offset);
        if base < expected && durable_end.is_none() {
            // Compaction merged it into its predecessor and was ended before it could delete it.
            let merged = scan(segment, None, &mut |_| {})?;
            if merged.end_offset <= expected {
                return remove_file(&path).map_err(|source| OpenError::Io { path, source });
            }
            let flaw = Flaw::SegmentBase { found: base };
            return Err(Damage { path, position: 0, offset: expected, flaw }.into());
        }
        if base != expected {
            return Err(damage(&segment, expected, Flaw::SegmentBase { found: base }).into());
        }
        self.segments.push(scan(segment, durable_end, seen)?);
        Ok(())
    }
}

/// The base offsets of the segments, in order. Drafts that a crash left are deleted.
fn files(dir: &Path) -> Result<Vec<i64>, OpenError> {
    let at = |source| OpenError::Io { path: dir.to_owned(), source };
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir).map_err(at)? {
        let name = entry.map_err(at)?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(base) = segment::base_of(name) {
            bases.push(base);
        } else if name.ends_with(".cleaned") || name.ends_with(".tmp") {
            remove_file(&dir.join(name)).map_err(at)?;
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

fn checkpoint(dir: &Path, bases: &[i64]) -> Result<Arc<Checkpoint>, OpenError> {
    let path = dir.join(CHECKPOINT);
    if let Some(checkpoint) = Checkpoint::load(&path)? {
        return Ok(Arc::new(checkpoint));
    }
    let start = bases.first().copied().unwrap_or(0);
    if !bases.is_empty() {
        let path = path.display();
        tracing::warn!(%path, "the checkpoint is gone: a cut-off end of the log can't be noticed");
    }
    let marks = Marks { start, durable_end: start, compacted_end: start };
    Ok(Arc::new(Checkpoint::create(&path, marks)?))
}

/// Finishes the deletion of segments that lie wholly before the start.
fn drop_before(dir: &Path, start: i64, bases: &mut Vec<i64>) -> Result<(), OpenError> {
    while let [first, second, ..] = bases[..]
        && second <= start
    {
        let path = dir.join(segment::file_name(first));
        remove_file(&path).map_err(|source| OpenError::Io { path, source })?;
        bases.remove(0);
    }
    Ok(())
}

/// Reads a whole segment. `durable_end` is given for the last one, whose tail may be torn above it.
fn scan(
    mut segment: Segment,
    durable_end: Option<i64>,
    seen: &mut impl FnMut(&BatchHeader),
) -> Result<Segment, OpenError> {
    let Data::File(file) = &segment.data else { return Ok(segment) };
    let file = file.clone();
    let path = file.path().to_owned();
    let len = fs::metadata(&path).map_err(|source| OpenError::Io { path, source })?.len();
    let data = segment.data.clone();
    let mut walk = super::walk::Walk::new(&data, 0, len, segment.base_offset);
    loop {
        match walk.next_batch() {
            Ok(None) => break,
            Ok(Some((_, header, _))) => {
                segment.admit(&header);
                seen(&header);
            }
            Err(ReadError::Damaged(found)) => {
                let is_torn = durable_end.is_some_and(|durable| found.offset >= durable)
                    && !has_intact_batch(&data, &found, len)?;
                if !is_torn {
                    return Err(found.into());
                }
                cut(&file, &found, len)?;
                break;
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(segment)
}

fn damage(segment: &Segment, offset: i64, flaw: Flaw) -> Damage {
    Damage { path: segment.data.path().to_owned(), position: segment.len, offset, flaw }
}

/// Whether some intact batch follows the broken one: then that is no torn tail.
fn has_intact_batch(data: &Data, broken: &Damage, len: u64) -> Result<bool, OpenError> {
    let size =
        usize::try_from((len - broken.position).min(MAX_SEARCHED_BYTES)).unwrap_or(usize::MAX);
    let mut tail = vec![0; size];
    data.read_at(&mut tail, broken.position)
        .map_err(|source| OpenError::Io { path: PathBuf::from(data.path()), source })?;
    Ok((1..tail.len()).any(|at| {
        BatchHeader::parse(&tail[at..]).is_ok_and(|header| {
            header.base_offset >= broken.offset && header.bytes <= tail.len() - at
        }) && BatchHeader::check(&tail[at..]).is_ok()
    }))
}

fn cut(file: &super::SyncFile, torn: &Damage, len: u64) -> Result<(), OpenError> {
    tracing::warn!(
        file = %torn.path.display(),
        position = torn.position,
        offset = torn.offset,
        bytes = len - torn.position,
        "cut off a write that a crash left unfinished: {}",
        torn.flaw
    );
    let at = |source| OpenError::Io { path: torn.path.clone(), source };
    file.set_len(torn.position).map_err(at)
}
