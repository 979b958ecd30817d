//! What `event-bus doctor` finds: nothing where all is well, and each fault that is planted.

mod clinic;
mod kafka_alone;
mod planted;
mod told;
