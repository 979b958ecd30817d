//! Who acts, as it is audited.

/// Who decides.
#[derive(clap::Args)]
pub struct By {
    /// Who decides, as it is audited
    #[arg(long, env = "USER", default_value = "unknown", value_name = "NAME")]
    pub by: String,
}
