//! What a model said of a call beside the tool's arguments.

/// What a model said of a call. Its texts are bounded by whoever reads them, and redacted where they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telemetry {
    /// What the person wants in the end.
    pub intent: Option<String>,
    /// What led here.
    pub context: Option<String>,
    /// What did not go well.
    pub frustration: Option<String>,
}
