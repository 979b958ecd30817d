//! Key compaction: keeps the last record of each key, at its offset.
//!
//! It works on a copy of what the log is made of, so that the log can be used meanwhile, and writes new segments beside
//! the old ones. [`Log::install`] then puts them in their place: one rename each, after which the segments that were
//! merged into it are deleted. A crash in between leaves segments that lie wholly within their predecessor; recovery
//! deletes those.
//!
//! As in Kafka, tombstones stay for `delete.retention.ms` after their first compaction, transaction markers stay, and
//! the last batch of each producer stays, if need be without records, for its sequence number. Other than in Kafka,
//! offsets without records are covered by empty batches, so that a missing batch is still told from a compacted one.

mod decide;
mod draft;
mod rewrite;

use std::path::PathBuf;
use std::sync::Arc;

use super::segment::Segment;
use super::{
    Checkpoint, CleanReport, DiskFaults, Log, LogSettings, Marks, TruncateError, remove_file,
    segment, sync_dir_of,
};
use decide::Decisions;
use draft::Draft;

/// A compaction to be run: what it reads, and what it works by.
#[derive(Debug)]
pub(crate) struct Compaction {
    /// All segments of the log as it was: what is above the compacted ones tells how transactions end.
    segments: Vec<Segment>,
    /// So many of them, from the oldest on, are rewritten.
    cleanable: usize,
    /// Everything before was compacted once.
    first_dirty: i64,
    upper: i64,
    now_ms: i64,
    settings: LogSettings,
    disk: Option<(PathBuf, Arc<Checkpoint>)>,
}

/// New segments, to be put in the place of old ones.
#[derive(Debug)]
pub(crate) struct Compacted {
    groups: Vec<Group>,
    compacted_end: i64,
    disk_faults: Arc<DiskFaults>,
}

/// One new segment and the old ones in whose place it comes: base offset and size of each.
#[derive(Debug)]
struct Group {
    replaced: Vec<(i64, u64)>,
    segment: Segment,
}

impl Log {
    /// The compaction that is due, if the topic asks for one and enough of the log is uncompacted.
    pub fn compaction(&self, now_ms: i64, upper: i64) -> Option<Compaction> {
        let settings = &self.settings;
        if !settings.cleanup.compact {
            return None;
        }
        let youngest = now_ms.saturating_sub(settings.min_compaction_lag_ms);
        let first_dirty = self.compacted_end.max(self.start_offset);
        let (sealed, _active) = self.segments.split_at(self.segments.len() - 1);
        let cleanable = sealed
            .iter()
            .take_while(|segment| {
                let is_old =
                    settings.min_compaction_lag_ms == 0 || segment.max_timestamp <= youngest;
                segment.end_offset <= upper && (is_old || segment.end_offset <= first_dirty)
            })
            .count();
        let bytes = |dirty: bool| -> u64 {
            let segments = sealed[..cleanable].iter();
            segments.filter(|one| (one.end_offset > first_dirty) == dirty).map(|one| one.len).sum()
        };
        let (dirty, clean) = (bytes(true), bytes(false));
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let ratio = dirty as f64 / (dirty + clean).max(1) as f64;
        if dirty == 0 || ratio < settings.min_cleanable_dirty_ratio {
            return None;
        }
        Some(Compaction {
            segments: self.segments.clone(),
            cleanable,
            first_dirty,
            upper,
            now_ms,
            settings: settings.clone(),
            disk: self.place.as_ref().map(|place| (place.dir.clone(), place.checkpoint.clone())),
        })
    }

    /// Puts compacted segments in the place of the old ones. Does nothing when these have changed since.
    ///
    /// # Errors
    /// When the disk fails. Each segment is either the old or the new one then, and both serve the same last records.
    pub fn install(&mut self, compacted: Compacted) -> Result<CleanReport, TruncateError> {
        let mut report = CleanReport::default();
        for group in compacted.groups {
            let Some(at) = self.position_of(&group.replaced) else { return Ok(report) };
            let old_bytes: u64 = group.replaced.iter().map(|(_, bytes)| bytes).sum();
            report.segments_compacted += group.replaced.len();
            report.bytes_freed += old_bytes.saturating_sub(group.segment.len);
            self.replace(at, group)?;
        }
        self.compacted_end = self.compacted_end.max(compacted.compacted_end);
        if let Some(place) = &self.place {
            let end = self.compacted_end;
            let change = |marks: &mut Marks| marks.compacted_end = end;
            let path = place.dir.clone();
            place
                .checkpoint
                .update(&compacted.disk_faults, change)
                .map_err(|source| TruncateError::Io { path, source })?;
        }
        report.tell(self);
        Ok(report)
    }

    fn replace(&mut self, at: usize, group: Group) -> Result<(), TruncateError> {
        let replaced = at..at + group.replaced.len();
        let Some(place) = &self.place else {
            self.segments.splice(replaced, [group.segment]);
            return Ok(());
        };
        let path = place.dir.join(segment::file_name(group.segment.base_offset));
        let failed = |source| TruncateError::Io { path: path.clone(), source };
        let draft = group.segment.data.path();
        let faults = &self.settings.disk_faults;
        // Opened before it is renamed: once it has the old one's name, nothing may keep the log from using it.
        let segment = group.segment.opened_as(&path, &place.checkpoint, faults).map_err(failed)?;
        std::fs::rename(draft, &path).map_err(failed)?;
        self.segments.splice(replaced, [segment]);
        sync_dir_of(&path).map_err(failed)?;
        // What stays behind lies within the new segment, and goes at the next start.
        for (base, _) in &group.replaced[1..] {
            remove_file(&path.with_file_name(segment::file_name(*base))).map_err(failed)?;
        }
        Ok(())
    }

    /// Where these segments stand, one after the other and unchanged.
    fn position_of(&self, replaced: &[(i64, u64)]) -> Option<usize> {
        let (first, _) = replaced.first()?;
        let at = self.segments.iter().position(|segment| segment.base_offset == *first)?;
        let there = self.segments.get(at..at + replaced.len())?;
        there
            .iter()
            .map(|segment| (segment.base_offset, segment.len))
            .eq(replaced.iter().copied())
            .then_some(at)
    }
}

impl Compaction {
    /// Reads the log and writes the new segments beside the old ones.
    ///
    /// # Errors
    /// When the log can't be read or the new segments not be written. The log is as it was.
    pub fn run(self) -> Result<Compacted, TruncateError> {
        let decisions =
            Decisions::of(&self.segments, self.cleanable, self.first_dirty, self.upper)?;
        let mut groups: Vec<Group> = Vec::new();
        let touched = self.segments[..self.cleanable]
            .iter()
            .take_while(|segment| segment.base_offset < decisions.end());
        let mut draft: Option<Draft> = None;
        for segment in touched {
            if let Some(full) = draft.take_if(|draft| !draft.has_room_for(segment, &self.settings))
            {
                groups.push(full.finish()?);
            }
            let draft = match &mut draft {
                Some(draft) => draft,
                None => draft.insert(self.begin(segment)?),
            };
            let mut walk = segment.walk();
            while let Some((_, header, bytes)) = walk.next_batch()? {
                if let Some((header, bytes)) =
                    rewrite::batch(&header, &bytes, &decisions, self.now_ms, &self.settings)
                {
                    draft.put(&header, &bytes)?;
                }
            }
            draft.took(segment)?;
        }
        if let Some(last) = draft {
            groups.push(last.finish()?);
        }
        Ok(Compacted {
            groups,
            compacted_end: decisions.end(),
            disk_faults: self.settings.disk_faults.clone(),
        })
    }

    fn begin(&self, first: &Segment) -> Result<Draft, TruncateError> {
        let disk = self.disk.as_ref().map(|(dir, checkpoint)| {
            let path = dir.join(segment::file_name(first.base_offset)).with_extension("cleaned");
            (path, checkpoint)
        });
        match disk {
            Some((path, checkpoint)) => {
                Draft::on_disk(first.base_offset, &path, checkpoint, &self.settings.disk_faults)
            }
            None => Ok(Draft::in_memory(first.base_offset)),
        }
    }
}
