//! What an organization can use besides what every organization can.

/// A feature that admins switch on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Insights from the gateway's traffic.
    McpAnalytics,
    /// A tool that changed is offered again only when an admin has approved it.
    ToolApproval,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 2] = [Self::McpAnalytics, Self::ToolApproval];

    /// The feature's name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::McpAnalytics => "mcp_analytics",
            Self::ToolApproval => "tool_approval",
        }
    }

    /// The feature with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.as_str() == name)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FeatureSet(u32);

impl FeatureSet {
    /// Whether the set has this feature.
    #[must_use]
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// The same set with this feature on or off.
    #[must_use]
    pub const fn with(self, feature: Feature, on: bool) -> Self {
        if on { Self(self.0 | feature.bit()) } else { Self(self.0 & !feature.bit()) }
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |feature| self.contains(*feature))
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(Self::default(), |set, feature| set.with(feature, true))
    }
}

impl serde::Serialize for FeatureSet {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.iter().map(Feature::as_str))
    }
}
