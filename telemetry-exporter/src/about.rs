//! What the application says of itself: `target_info` and `build_info`.

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{Labels, Sample, Series, Source, Visit};

/// One series whose labels are all there is to say.
#[derive(Debug)]
pub(crate) struct About {
    family: Family,
    labels: Vec<(String, String)>,
}

impl About {
    /// What describes the process as a whole, for joins with whatever it exposes: `target_info`.
    pub(crate) fn target(labels: Vec<(String, String)>) -> Self {
        Self::new("target", "The process that exposes these metrics.", labels)
    }

    /// What was built: `build_info`.
    pub(crate) fn build(labels: Vec<(String, String)>) -> Self {
        Self::new("build", "The build of the application that exposes these metrics.", labels)
    }

    /// Those of both that were told.
    pub(crate) fn all(target: Option<Vec<(String, String)>>, build: Option<Vec<(String, String)>>) -> Vec<Self> {
        target.map(Self::target).into_iter().chain(build.map(Self::build)).collect()
    }

    fn new(name: &str, description: &str, labels: Vec<(String, String)>) -> Self {
        let family = Family::new(name, Kind::Info).description(description);
        let names = labels.iter().map(|(name, _)| name.as_str());
        Self { family: family.labels(names), labels }
    }

    pub(crate) fn family(&self) -> &Family {
        &self.family
    }
}

impl Source for About {
    fn collect(&self, visitor: &mut dyn Visit) {
        let labels: Vec<(&str, &str)> =
            self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        visitor.family(&self.family);
        visitor.series(&Series { labels: Labels::from_pairs(&labels), created: None, sample: Sample::Info });
    }
}
