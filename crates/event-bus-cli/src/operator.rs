//! Who acts.

/// The operator, as it is audited.
#[derive(clap::Args)]
pub struct Operator {
    /// Who decides, as it is audited; an ops process goes by the token instead
    #[arg(long, env = "USER", default_value = "unknown", value_name = "NAME")]
    pub by: String,
}
