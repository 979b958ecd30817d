//! The consumer's core in a modelled world: in runs that seeds decide, in the known failures of others, and with mistakes
//! made on purpose, which have to be noticed.

mod broken;
mod known;
mod seeds;
