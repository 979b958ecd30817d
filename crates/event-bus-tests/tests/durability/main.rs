//! What the embedded broker acknowledged outlives its process, its disk's faults and its machine's power. Run by
//! `cargo xtask test`, at full length by `cargo xtask prove`.

mod broker;
mod disk_faults;
mod following;
mod killed;
mod ledger;
mod membership;
mod on_disk;
mod producing;
mod strace;
mod survivors;
mod transacting;
mod unsynced;
mod world;
